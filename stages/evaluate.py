"""Stage `evaluate`: average precision by the KITTI rules, with error bars. Usage: python stages/evaluate.py MODEL"""

import sys
from dataclasses import replace
from pathlib import Path

from monokd.commands.evaluate import warn
from monokd.errors import run, say
from monokd.evaluation.bootstrap import compare, intervals
from monokd.evaluation.distance import by_distance, write_distances
from monokd.evaluation.evaluate import Evaluation, evaluate_folders
from monokd.evaluation.output import CURVE_COLUMNS, Report, csv_text, report_json, write_curves
from monokd.files import write_json, write_text
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames
from monokd.params import Params, load_params

PREDICTIONS = Path("data/predictions")
YARDSTICK = "baseline"
SEED = 0  # of the resamples


def main() -> None:
    name, params = sys.argv[1], load_params()
    if not has_labels(params.active.data.val_split):
        unscored(name, params)
        return
    evaluation = scored(name, params)
    warn(evaluation, PREDICTIONS / name)
    report = report_json(with_error_bars(name, evaluation, params))
    out = Path("metrics") / name
    write_json(out / "kitti.json", evaluation.as_json())
    write_json(out / "intervals.json", {key: report[key] for key in ("bootstrap", "difference") if key in report})
    write_curves(out / "pr.csv", evaluation)
    bands = by_distance(
        labels(params),
        PREDICTIONS / name,
        evaluation.frames,
        evaluation.rule,
        evaluation.classes,
        resamples=params.active.evaluate.bootstrap,
        seed=SEED,
    )
    write_distances(out / "distance.csv", bands)


def unscored(name: str, params: Params) -> None:
    """The outputs of the stage on frames without labels: how many they are, and no figure."""
    split, out = params.active.data.val_split, Path("metrics") / name
    say(f"evaluate: split {split} has no labels, nothing is scored; `monokd submit` makes the file for KITTI's server")
    frames = len(split_frames(params.data_root, split))
    write_json(out / "kitti.json", {"frames": frames, "rule": params.active.evaluate.rule, "labels": False})
    write_json(out / "intervals.json", {})
    write_text(out / "pr.csv", csv_text(CURVE_COLUMNS, []))
    write_distances(out / "distance.csv", {})


def labels(params: Params) -> Path:
    return KittiFolder(params.data_root).folder / "label_2"


def scored(name: str, params: Params) -> Evaluation:
    data = params.active.data
    frames = split_frames(params.data_root, data.val_split)
    return evaluate_folders(labels(params), PREDICTIONS / name, frames, params.active.evaluate.rule, data.classes)


def with_error_bars(name: str, evaluation: Evaluation, params: Params) -> Report:
    """The metrics of one network with 95 % intervals, and its paired difference to the yardstick, unless it is that."""
    report, resamples = Report(evaluation), params.active.evaluate.bootstrap
    if not resamples:
        return report
    if name == YARDSTICK:
        return replace(report, resamples=resamples, seed=SEED, intervals=intervals(evaluation, resamples, SEED))
    ranges, differences = compare(evaluation, scored(YARDSTICK, params), resamples, SEED)
    return replace(report, resamples=resamples, seed=SEED, intervals=ranges, against=YARDSTICK, differences=differences)


if __name__ == "__main__":
    run(main)
