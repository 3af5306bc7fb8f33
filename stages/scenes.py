"""Stage `scenes`: a synthetic KITTI. Usage: python stages/scenes.py OUT"""

import sys
from pathlib import Path

from monokd.errors import DataError, run
from monokd.params import load_params
from monokd.progress import worker_count
from monokd.scenes.generate import generate_scenes


def main() -> None:
    params = load_params()
    scenes = params.profiles["demo"].scenes
    if scenes is None:
        raise DataError("profiles.demo.scenes: missing parameter", "params.yaml")
    generate_scenes(Path(sys.argv[1]), scenes, seed=params.data_seed, workers=worker_count(0))


if __name__ == "__main__":
    run(main)
