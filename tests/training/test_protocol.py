"""Splits: what is trained on, looked at meanwhile, predicted and scored, with and without labels."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import set_params
from tests.training.test_stages import digest, refused, run


@pytest.fixture
def with_test_frames(workspace: Path) -> Path:
    """A workspace whose `testing` half holds two frames, as KITTI's does: images and calibration, no labels."""
    shared, own = (workspace / "data/demo").resolve(), workspace / "data/demo"
    own.unlink()
    shutil.copytree(shared, own)
    others = shutil.ignore_patterns("label*", "velodyne", "00000[2-9]*", "00001*")
    shutil.copytree(shared / "training", own / "testing", ignore=others)
    return workspace


def test_trained_on_trainval_and_run_on_test_there_are_results_but_no_figures(with_test_frames: Path) -> None:
    folder = with_test_frames
    epochs = {"profiles__demo__baseline__epochs": 1}
    set_params(folder, profiles__demo__data__train_split="trainval", profiles__demo__data__val_split="test", **epochs)
    run(folder, "baseline")
    with (folder / "metrics/baseline/history.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 1
    run(folder, "predict", "baseline")
    assert {path.name for path in (folder / "data/predictions/baseline").iterdir()} == {"000000.txt", "000001.txt"}
    errors = run(folder, "evaluate", "baseline")
    assert errors.startswith("monokd: evaluate: split test has no labels, nothing is scored")
    figures = json.loads((folder / "metrics/baseline/kitti.json").read_text())
    assert figures == {"frames": 2, "rule": "le", "labels": False}
    assert len((folder / "metrics/baseline/pr.csv").read_text().splitlines()) == 1
    run(folder, "report")
    assert "Split test has no labels" in (folder / "metrics/report.html").read_text()


def test_losses_on_validation_frames_change_no_bit_of_the_weights(workspace: Path) -> None:
    run(workspace, "baseline")
    plain = digest(workspace, "baseline")
    set_params(workspace, profiles__demo__baseline__evaluate_every=2)
    run(workspace, "baseline")
    assert digest(workspace, "baseline") == plain
    with (workspace / "metrics/baseline/history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["val_seg"] != "" for row in rows] == [False, True, True]
    assert all(float(row[name]) > 0 for row in rows[1:] for name in ("val_seg", "val_depth", "val_heading"))


def test_losses_on_frames_without_labels_are_refused(with_test_frames: Path) -> None:
    set_params(with_test_frames, profiles__demo__data__val_split="test", profiles__demo__baseline__evaluate_every=1)
    reason = "profiles.demo.baseline.evaluate_every: expected 0 where data.val_split is test"
    assert reason in refused(with_test_frames, "baseline")
