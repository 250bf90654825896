#!/usr/bin/env bash
# Sojourn's whole job on the sample: plan, send, get back, read, run. `make demo` calls it.
#
#     demo.sh            needs data/ (make sample-data); takes a few minutes on two cores
#
# The store is a real S3 server that runs beside the demo, on this machine only.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${SOJOURN_BIN:-$root/.venv/bin}
export PATH="$bin:$PATH"
cd "$root"

if [ "${1:-}" != --with-s3 ]; then
    exec python "$here/with_s3.py" demo bash "$here/demo.sh" --with-s3
fi

job=examples/leak_detection
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What the demo runs leaves nothing behind in the user's own folders.
export XDG_STATE_HOME=$scratch/state XDG_CACHE_HOME=$scratch/cache

heading() { printf '\n\033[1m── %s\033[0m\n' "$*"; }
show() {
    printf '\033[2m$%s\033[0m\n' "$(printf ' %q' "$@")"
    "$@"
}

heading "Will the baseline fit, and at what rate?"
show sojourn plan $job/baseline.ipynb --on colab/t4 --on colab/l4 --on colab/a100-40gb

heading "Send the data set to a store"
show sojourn push $job/data s3://demo/leaks

heading "Send it again: nothing has changed"
show sojourn push $job/data s3://demo/leaks

heading "What is in the store, from the manifest alone"
show sojourn ls s3://demo/leaks 'train/*'

heading "Get it back, byte for byte"
show sojourn pull s3://demo/leaks "$scratch/leaks"
show diff -r $job/data "$scratch/leaks"
echo "no difference"

heading "Read its tables straight from the store"
show python $job/read_tables.py s3://demo/leaks $job/data

heading "Run the baseline, small, here; its data comes from the store"
show sojourn run $job/baseline.py --on local --data s3://demo/leaks=/content/data \
    --out "$scratch/out" --deadline 5m -- --hidden 16 --window 64 --batch-size 64 --epochs 1
show find "$scratch/out" -type f
