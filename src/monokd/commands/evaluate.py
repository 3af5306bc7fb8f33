"""What `monokd evaluate` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from monokd.errors import DataError, say
from monokd.evaluation.bootstrap import compare, intervals
from monokd.evaluation.evaluate import Evaluation, evaluate_folders
from monokd.evaluation.output import Report, report_json, write_csv, write_curves
from monokd.evaluation.rules import CLASSES

DEFAULT_RESAMPLES = 1000  # of a comparison that does not say how many
NAMED = 5  # missing frames that a warning names


def evaluate_command(
    labels: Path,
    results: Path,
    *,
    split: str | None = None,
    rule: str = "le",
    json_output: bool = False,
    csv: Path | None = None,
    curves: Path | None = None,
    bootstrap: int = 0,
    against: Path | None = None,
    seed: int = 0,
    classes: Sequence[str] = CLASSES,
) -> None:
    """Score `results` against `labels`, print a table or JSON, write what was asked.

    Args:
        labels: folder of label files.
        results: folder of result files.
        split: train, val, trainval or a file of frame ids; default: every label file.
        rule: le (current kit) or lt (older).
        json_output: print JSON instead of the table.
        csv: where every AP goes, one a line.
        curves: where the precision-recall curves go.
        bootstrap: resamples of the frames for 95 % intervals; 0 for none.
        against: another folder of results for paired differences (1,000 resamples if `bootstrap` is 0).
        seed: of the resamples.
        classes: of Car, Pedestrian, Cyclist.

    Raises:
        DataError: a folder, a file, a line or an argument is wrong.
    """
    frames = None if split is None else split_frames(split)
    evaluation = evaluate_folders(labels, results, frames, rule, classes)
    warn(evaluation, results)
    report = Report(evaluation)
    if against is not None:
        report = _compared(report, labels, against, bootstrap or DEFAULT_RESAMPLES, seed)
    elif bootstrap:
        report = replace(report, resamples=bootstrap, seed=seed, intervals=intervals(evaluation, bootstrap, seed))
    if csv is not None:
        write_csv(csv, report)
    if curves is not None:
        write_curves(curves, evaluation)
    if json_output:
        print(json.dumps(report_json(report), indent=2, allow_nan=False))
        return
    from monokd.evaluation.table import print_report  # noqa: PLC0415  (rich is slow to import)

    print_report(report)


def split_frames(split: str) -> list[str]:
    """Frame ids of the field's train, val or trainval, or of a file.

    Raises:
        DataError: neither a name nor a file, or the file is wrong.
    """
    from monokd.kitti.frames import read_split  # noqa: PLC0415  (OpenCV is slow to import)
    from monokd.kitti.splits import SplitName, official_split  # noqa: PLC0415

    for name in get_args(SplitName):
        if split == name:
            return official_split(name)
    if not Path(split).exists():
        raise DataError(f"split: expected train, val, trainval or a file of frame ids, found '{split}'")
    return read_split(split)


def warn(evaluation: Evaluation, results: Path) -> None:
    """Say on stderr, one line each, which frames had no file and which class names KITTI does not know."""
    missing, total = evaluation.missing, len(evaluation.frames)
    if missing:
        named = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        hint = f" (did you mean {results / 'data'}?)" if len(missing) == total and (results / "data").is_dir() else ""
        reason = f"{len(missing)} of {total} frames have no result file and count as empty"
        say(f"warning: {results}: {reason}: {named}{hint}")
    if evaluation.unknown:
        names = ", ".join(f"{name} ({count} line{'s' * (count > 1)})" for name, count in evaluation.unknown.items())
        say(f"warning: classes that KITTI does not know count as other classes: {names}")


def _compared(report: Report, labels: Path, against: Path, resamples: int, seed: int) -> Report:
    evaluation = report.evaluation
    other = evaluate_folders(labels, against, evaluation.frames, evaluation.rule, evaluation.classes)
    warn(other, against)
    ranges, differences = compare(evaluation, other, resamples, seed)
    return replace(
        report, resamples=resamples, seed=seed, intervals=ranges, against=str(against), differences=differences
    )
