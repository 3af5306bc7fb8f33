#!/bin/sh
# Build sdist and wheel, install the wheel into an empty environment, and use what needs no torch, DVC or compiler.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -c 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])' "$folder" >/dev/null
cd "$folder"
"$python" -m pip --quiet wheel --no-deps --no-build-isolation ./monokd-*.tar.gz
"$python" -m venv light
light/bin/python -m pip --quiet install ./monokd-*.whl
if light/bin/python -m pip list | grep -iE '^(torch|dvc|pandas) '; then
    echo "light install: pulls what belongs into the extra" >&2
    exit 1
fi
"$python" - <<'EOF'
from pathlib import Path
from monokd.scenes.generate import generate_scenes
from monokd.params import Scenes

generate_scenes(Path("frames"), Scenes(train_frames=4, val_frames=6, width_px=621, height_px=188), seed=0)
EOF
PATH=$folder/light/bin:/usr/bin:/bin
monokd check frames
monokd densify frames depth
monokd check frames --depth depth
mkdir results
for label in frames/training/label_2/*.txt; do
    sed '/^DontCare/d; s/$/ 0.9/' "$label" >"results/${label##*/}"
done
monokd evaluate frames/training/label_2 results --classes Car >table
grep -q Car table
monokd show frames 000000 results --out frame.png
[ -s frame.png ]
if monokd predict a b c d 2>refused; then exit 1; fi
grep -q "install the extra 'pipeline'" refused
du -sm light | sed 's/\t.*/ MB: light install/'
