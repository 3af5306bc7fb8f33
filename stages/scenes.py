"""Stage `scenes`: a synthetic KITTI. Usage: python stages/scenes.py OUT"""

import sys
from pathlib import Path

from monokd.errors import DataError, run
from monokd.params import load_params
from monokd.progress import worker_count
from monokd.scenes.generate import generate_scenes
from monokd.scenes.settings import SceneSettings


def main() -> None:
    params = load_params()
    scenes = params.profiles["demo"].scenes
    if scenes is None:
        raise DataError("profiles.demo.scenes: missing parameter", "params.yaml")
    try:
        settings = SceneSettings(**scenes.model_dump())
        generate_scenes(Path(sys.argv[1]), settings, seed=params.data_seed, workers=worker_count(0))
    except ValueError as error:
        raise DataError(f"profiles.demo.scenes: {error}", "params.yaml") from error


if __name__ == "__main__":
    run(main)
