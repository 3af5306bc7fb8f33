"""Honest failure: nothing to score, nothing found, too much to hold; defined, null in JSON, a dash in tables."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from monokd.evaluation.evaluate import evaluate_results, read_result_set
from monokd.files import read_json
from monokd.inference.predict import write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import read_labels, write_results
from monokd.kitti.objects import from_rows
from monokd.report.tables import UNDEFINED
from monokd.samples.affine import crop_affine
from monokd.samples.constants import MAX_OBJECTS
from monokd.samples.targets import frame_targets
from tests.conftest import set_params, write_labels
from tests.faults.conftest import MODELS, Ended, write_models
from tests.report.fakes import camera, objects, scored

Stage = Callable[..., Ended]
NOTHING = from_rows((), np.zeros((0, 15)))


def figures(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from figures(value)
    else:
        yield tree


def test_an_empty_validation_set_stops_every_stage_that_needs_one(workspace: Path, stage: Stage) -> None:
    frames = (workspace / "data/demo").resolve()
    (workspace / "data/demo").unlink()
    (workspace / "data/demo/ImageSets").mkdir(parents=True)
    (workspace / "data/demo/training").symlink_to(frames / "training")
    (workspace / "data/demo/ImageSets/val.txt").write_text("")
    write_models(workspace)
    (workspace / "data/predictions/student").mkdir(parents=True)
    for arguments in (("predict", "student"), ("evaluate", "student")):
        ended = stage(workspace, *arguments)
        assert ended.code == 2
        assert ended.line == "monokd: data/demo/ImageSets/val.txt: expected frame ids, found none"


def test_the_report_of_networks_that_find_nothing_is_a_page(workspace: Path, stage: Stage) -> None:
    """Through the stages: empty result files, figures of null, a page of dashes, no class with objects but cars."""
    classes = ["Pedestrian", "Car", "Cyclist"]
    set_params(workspace, profiles__demo__data__classes=classes, profiles__demo__evaluate__bootstrap=3)
    frames = KittiFolder(workspace / "data/demo").frames()
    write_models(workspace)
    for name in MODELS:
        found = iter([(frame, NOTHING) for frame in frames])
        write_predictions(workspace / f"data/predictions/{name}", found, classes=("Car",))
    for name in MODELS:
        ended = stage(workspace, "evaluate", name)
        assert ended.code == 0, ended.errors
        content = read_json(workspace / f"metrics/{name}/kitti.json")
        assert set(figures(content["strict"])) == {None}
    ended = stage(workspace, "report")
    assert ended.code == 0, ended.errors
    page = (workspace / "metrics/report.html").read_text()
    assert UNDEFINED in page
    assert not re.search(r"\bnan\b", page, flags=re.IGNORECASE)
    assert set(figures(read_json(workspace / "metrics/summary.json"))) == {None}


def test_200_objects_in_a_frame_fill_the_slots_and_evaluation_counts_all(tmp_path: Path) -> None:
    """A training frame has 50 slots, one a line in the file's order: later lines are not learnt, as published."""
    many = objects([("Car", -6.0 + 0.06 * i, 8.0 + 0.01 * i, 0.1) for i in range(200)])
    write_labels(tmp_path / "labels/many.txt", many)
    read = read_labels(tmp_path / "labels/many.txt")
    assert len(read) == 200
    affine = crop_affine((160.0, 48.0), (320.0, 96.0), width_px=320, height_px=96)
    targets, first = (
        frame_targets(labels, camera(), affine, None) for labels in (read, read.select(np.arange(200) < 50))
    )
    assert targets.object_count == first.object_count == MAX_OBJECTS
    assert targets.mask_2d.any()
    for name in ("heatmap", "mask_2d", "depth_m", "boxes_px"):
        assert np.array_equal(getattr(targets, name), getattr(first, name)), name
    write_results(tmp_path / "results/many.txt", scored(many, list(np.linspace(0.1, 0.9, 200))))
    evaluation = evaluate_results(read_result_set(tmp_path / "labels", tmp_path / "results"))
    assert evaluation.curves["strict", "Car", "bbox", "hard"].objects > MAX_OBJECTS
