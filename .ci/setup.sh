#!/bin/sh
# Make .venv with the pinned requirements and this package. Called by `make setup`.
set -eu

die() { echo "setup: $*" >&2; exit 1; }

for tool in git make; do
    command -v "$tool" >/dev/null 2>&1 || die "missing $tool: install it and run make again"
done
command -v "${CXX:-c++}" >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 \
    || die "missing a C++ compiler (c++ or g++): install one and run make again"

python=
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if command -v "$name" >/dev/null 2>&1 \
        && "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
        python=$name
        break
    fi
done
[ -n "$python" ] || die "missing Python 3.11, 3.12 or 3.13: install one, or name it with make PYTHON=…"
"$python" -c 'import venv, ensurepip' 2>/dev/null || die "$python lacks the venv module: install it (python3-venv on Debian)"

[ -x .venv/bin/python ] || "$python" -m venv .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip=".venv/bin/python -m pip --quiet"  # without compiling: Python does that for what is imported, at a third of the time

# torchsort compiles against the torch that is installed, so torch comes first and builds are not isolated.
$pip install --no-compile $(grep -E '^(torch|numpy|setuptools|wheel|ninja)==' requirements.txt)

# torchsort takes any nvcc on PATH as a wish for CUDA; hide it unless torch itself has CUDA.
if ! .venv/bin/python -c 'import sys, torch; sys.exit(not torch.version.cuda)'; then
    shadow=$(mktemp -d)
    trap 'rm -rf "$shadow"' EXIT
    path= count=0
    old_ifs=$IFS IFS=:
    for folder in $PATH; do
        if [ -e "$folder/nvcc" ]; then
            count=$((count + 1))
            mkdir "$shadow/$count"
            ln -s "$folder"/* "$shadow/$count/"
            rm "$shadow/$count/nvcc"
            folder=$shadow/$count
        fi
        path=${path:+$path:}$folder
    done
    IFS=$old_ifs
    export PATH="$path"
fi
$pip install --no-compile --no-build-isolation -r requirements.txt
$pip install --no-compile --no-build-isolation --no-deps -e .
touch .venv/.complete
