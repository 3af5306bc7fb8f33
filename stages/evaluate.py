"""Stage `evaluate`: average precision by the KITTI rules, with error bars. Usage: python stages/evaluate.py MODEL"""

import sys
from pathlib import Path

from monokd.errors import run, say
from monokd.evaluation import table
from monokd.evaluation.bootstrap import Resampling, read_groups
from monokd.evaluation.evaluate import ResultSet, evaluate_results, read_result_set
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames
from monokd.params import Params, load_params

RESULTS = Path("data/predictions")
CONTROL = "control"  # what the others are compared with
TABLES = {"ap.csv": table.AP_COLUMNS, "pr.csv": table.CURVE_COLUMNS, "distance.csv": table.DISTANCE_COLUMNS}


def main() -> None:
    name, params = sys.argv[1], load_params()
    if has_labels(params.active.data.val_split):
        score(name, params)
    else:
        write_unscored(name, params)


def score(name: str, params: Params) -> None:
    rule, classes = params.active.evaluate.rule, params.active.data.classes
    frames = split_frames(params.data_root, params.active.data.val_split)
    if params.resolved_quirks().drop_last_validation:  # as published, what was not predicted is not scored
        frames = [frame for frame in frames if (RESULTS / name / f"{frame}.txt").exists()] or frames
    predicted = predictions(name, frames, params)
    for warning in predicted.warnings(RESULTS / name):
        say(warning)
    evaluation = evaluate_results(predicted, rule, classes)
    control = None if name == CONTROL else evaluate_results(predictions(CONTROL, frames, params), rule, classes)
    drives = params.data_root / "ImageSets/drives.txt"  # where it exists, whole drives are resampled
    groups = read_groups(drives, evaluation.frames) if drives.is_file() else None
    resampling = Resampling(params.active.evaluate.bootstrap, seed=0, groups=groups)
    rows, out = table.ap_table(evaluation, control, resampling), Path("metrics") / name
    write_json(out / "kitti.json", table.table_json(evaluation, rows))
    tables = rows, table.curve_rows(evaluation), table.distance_rows(predicted, rule, classes, resampling)
    for (file, columns), content in zip(TABLES.items(), tables, strict=True):
        table.write_table(out / file, columns, content)


def write_unscored(name: str, params: Params) -> None:
    """Write the outputs of the stage on frames without labels: how many they are, and no figure."""
    split, out = params.active.data.val_split, Path("metrics") / name
    say(f"evaluate: split {split} has no labels, nothing is scored; `monokd submit` makes the file for KITTI's server")
    frames = len(split_frames(params.data_root, split))
    write_json(out / "kitti.json", {"frames": frames, "rule": params.active.evaluate.rule, "labels": False})
    for file, columns in TABLES.items():
        table.write_table(out / file, columns, [])


def predictions(name: str, frames: list[str], params: Params) -> ResultSet:
    return read_result_set(KittiFolder(params.data_root).folder / "label_2", RESULTS / name, frames)


if __name__ == "__main__":
    run(main)
