"""Stage `evaluate`: average precision by the KITTI rules. Usage: python stages/evaluate.py MODEL"""

import sys
from pathlib import Path

from monokd.errors import run
from monokd.evaluation.command import warn
from monokd.evaluation.evaluate import evaluate_folders
from monokd.evaluation.output import write_curves
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import split_frames
from monokd.params import load_params


def main() -> None:
    name, params = sys.argv[1], load_params()
    data, root = params.active.data, params.data_root
    labels, results = KittiFolder(root).folder / "label_2", Path("data/predictions") / name
    frames = split_frames(root, data.val_split)
    evaluation = evaluate_folders(labels, results, frames, params.active.evaluate.rule, data.classes)
    warn(evaluation, results)
    out = Path("metrics") / name
    write_json(out / "kitti.json", evaluation.as_json())
    write_curves(out / "pr.csv", evaluation)


if __name__ == "__main__":
    run(main)
