"""CSV of the figures and of the curves."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monokd.evaluation.bootstrap import intervals
from monokd.evaluation.evaluate import evaluate_folders
from monokd.evaluation.output import Report, write_csv, write_curves


def test_csv_has_a_line_for_every_figure(folders: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation = evaluate_folders(*folders)
    report = Report(evaluation, resamples=20, intervals=intervals(evaluation, 20, seed=0))
    write_csv(tmp_path / "ap.csv", report)
    with (tmp_path / "ap.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 3 * 8 * 3
    for row in rows:
        ap = evaluation.ap((row["iou"], row["class"], row["metric"], row["difficulty"]))
        assert row["ap"] == ("" if ap is None else repr(ap))
        assert (row["low"] == "") == (ap is None)
        assert row["difference"] == ""


def test_curves_average_to_the_figures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """R40 is the mean of samples 1 to 40 of the curve that is written."""
    evaluation = evaluate_folders(*folders)
    write_curves(tmp_path / "pr.csv", evaluation)
    curves: dict[tuple[str, str, str, str], list[float]] = {}
    with (tmp_path / "pr.csv").open() as stream:
        for row in csv.DictReader(stream):
            key = row["iou"], row["class"], f"{row['metric']}_R40", row["difficulty"]
            curves.setdefault(key, []).append(float(row["precision"]))
            assert float(row["recall"]) == int(row["sample"]) / 40
    defined = {key for key in evaluation.figure_keys() if key[2].endswith("R40") and evaluation.ap(key) is not None}
    assert set(curves) == defined
    for key, precision in curves.items():
        assert len(precision) == 41
        assert 100 * sum(precision[1:]) / 40 == pytest.approx(evaluation.ap(key))
