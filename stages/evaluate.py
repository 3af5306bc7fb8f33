"""Stage `evaluate`: average precision by the KITTI rules. Usage: python stages/evaluate.py MODEL"""

import sys
from pathlib import Path

from monokd.evaluation.folders import evaluate_folders
from monokd.kitti.splits import split_frames

from monokd.errors import run
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.params import load_params


def main() -> None:
    name, params = sys.argv[1], load_params()
    settings = params.active.evaluate
    frames = split_frames(params.data_root, params.active.data.val_split)
    evaluation = evaluate_folders(
        KittiFolder(params.data_root).folder / "label_2",
        Path("data/predictions") / name,
        frames,
        settings.rule,
    )
    out = Path("metrics") / name
    write_json(out / "kitti.json", evaluation.as_json())
    evaluation.write_curves(out / "pr.csv")


if __name__ == "__main__":
    run(main)
