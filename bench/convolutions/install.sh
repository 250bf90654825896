#!/bin/sh
# Install cuDNN and what it links against into a folder (2 GB), with a driver library of names only.
# Usage: install.sh FOLDER [CUDNN_VERSION]; then: . FOLDER/environment
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=${2:-9.10.2.21}
python3 -m pip install --quiet --no-deps --target "$folder" \
    "nvidia-cudnn-cu12==$version" nvidia-cuda-nvrtc-cu12==12.9.86 \
    nvidia-cuda-runtime-cu12==12.9.79 nvidia-cublas-cu12==12.9.1.4
mkdir -p "$folder/driver"
strings -n 5 "$folder"/nvidia/cudnn/lib/*.so.9 | grep -xE 'cu[A-Z][A-Za-z0-9]+' | sort -u |
    grep -vx cuDriverGetVersion | sed 's/.*/int &(void) { return 100; }/' > "$folder/driver/names.c"
echo 'int cuDriverGetVersion(int *version) { *version = 12080; return 0; }' \
    >> "$folder/driver/names.c"
cc -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$folder/driver/libcuda.so.1" \
    "$folder/driver/names.c"
libraries=$folder/driver
for part in cudnn cuda_nvrtc cuda_runtime cublas; do
    libraries=$libraries:$folder/nvidia/$part/lib
done
{
    echo "export LD_LIBRARY_PATH=$libraries CUDNN_LOGLEVEL_DBG=0"
    echo "export CUDNN_INCLUDE=$folder/nvidia/cudnn/include"
} > "$folder/environment"
