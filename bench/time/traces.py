"""Sojourn's own traces of the rows' scripts, each made once and kept in .cache/traces.

A trace is kept without its events, which say nothing of time.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rows import HERE, read_rows
from workloads import script_of

from sojourn.errors import TraceError
from sojourn.forecast.changes import Changes, Variant
from sojourn.forecast.trace import dump_trace, load_trace
from sojourn.progress import NoProgress
from sojourn.tracing.script import trace_variants
from sojourn.tracing.server import TraceServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Script

    from sojourn.forecast.trace import Trace

KEPT = Path(__file__).parent / ".cache" / "traces"
_TIMEOUT_S = 900.0


def key_of(script: Script) -> str:
    """Return what names a script's trace: a digest of all that it says, however it is laid out."""
    texts = [script.text, *script.modules.values()]
    parts = [script.compute_capability, *(ast.unparse(ast.parse(text)) for text in texts)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read_trace(script: Script) -> Trace | None:
    """Return a script's trace, if it was made."""
    path = KEPT / f"{key_of(script)}.json.gz"
    if not path.exists():
        return None
    return load_trace(gzip.decompress(path.read_bytes()).decode())


def make_traces(scripts: Iterable[tuple[str, Script]]) -> dict[str, str]:
    """Trace what has no trace yet; returns by name why the others have none."""
    missing = {key_of(script): (name, script) for name, script in scripts}
    missing = {key: each for key, each in missing.items() if not _path(key).exists()}
    KEPT.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    with TraceServer() as server, TemporaryDirectory() as scratch:
        for number, (key, (name, script)) in enumerate(missing.items()):
            if _path(key).exists():  # by another process meanwhile
                continue
            began_s = time.perf_counter()
            found = _trace(script, Path(scratch, key), server)
            seconds = time.perf_counter() - began_s
            print(
                f"{number + 1}/{len(missing)} {name} {seconds:.1f} s", file=sys.stderr, flush=True
            )
            if isinstance(found, TraceError):
                failed[name] = found.message
                print(f"    {found.message[:300]}", file=sys.stderr, flush=True)
                continue
            text = dump_trace(replace(found, events=(), step_ends=()))
            _path(key).write_bytes(gzip.compress(text.encode(), mtime=0))
    return failed


def _path(key: str) -> Path:
    return KEPT / f"{key}.json.gz"


def _trace(script: Script, folder: Path, server: TraceServer) -> Trace | TraceError:
    folder.mkdir()
    for name, text in script.modules.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "train.py").write_text(script.text, "utf-8")
    variant = Variant(compute_capability=script.compute_capability, changes=Changes())
    (found,) = trace_variants(
        folder / "train.py",
        [variant],
        timeout_s=_TIMEOUT_S,
        server=server,
        progress=NoProgress(),
    )
    return found


def main() -> None:
    """Trace what has none yet; with a word, only rows with it; with "backwards", last first."""
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    step = -1 if sys.argv[2:] == ["backwards"] else 1
    rows = [row for row in read_rows(HERE / "rows.csv") if not row.left_out]
    rows = [row for row in rows if only.lower() in f"{row.source} {row.id} {row.model}".lower()]
    make_traces(
        (f"{row.id} {row.model} {row.precision} b{row.batch}", script_of(row))
        for row in rows[::step]
    )


if __name__ == "__main__":
    main()
