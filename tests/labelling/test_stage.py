"""Stage `label`: boxes from files, true labels, thresholds chosen on held-out frames, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import read_labels, read_results, write_results
from monokd.kitti.objects import Objects
from monokd.labelling.stage import label_unlabelled
from monokd.params import load_params
from monokd.roles import held_out_frames, unlabelled_frames
from tests.conftest import set_params

OUT = Path("data/labels")


@pytest.fixture
def results(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a detector that sees every object, cars with score 3 and the rest with 1; params.yaml names them."""
    monkeypatch.chdir(workspace)
    params, folder = load_params(), workspace / "results"
    source, frames = unlabelled()
    folder.mkdir()
    for frame in [*held_out_frames(params), *frames]:
        objects = read_labels(source.hidden_label(frame) if frame in frames else source.label(frame))
        objects = objects.select(np.array(objects.names) != "DontCare")
        scores = np.where(np.array(objects.names) == "Car", 3.0, 1.0)
        write_results(folder / f"{frame}.txt", replace(objects, scores=scores))
    set_params(workspace, profiles__demo__unlabelled__boxes="files", profiles__demo__unlabelled__files=str(folder))
    return folder


def unlabelled() -> tuple[KittiFolder, list[str]]:
    source, frames = unlabelled_frames(load_params())
    assert isinstance(source, KittiFolder)
    return source, frames


def written(workspace: Path) -> list[Objects]:
    return [read_results(path) for path in sorted((workspace / OUT).iterdir())]


def test_files_of_a_detector_become_labels(workspace: Path, results: Path) -> None:
    """Its scores may exceed 1; how good the boxes are is measured where labels are known."""
    figures = label_unlabelled(load_params(), OUT)
    assert figures["keep_score"] == figures["ignore_score"] == 3
    assert figures["held_out_precision"] == figures["held_out_recall"] == 100
    assert figures["precision"] == figures["recall"] == 100
    assert isinstance(figures["held_out_labels"], int)
    assert {name for objects in written(workspace) for name in objects.names} == {"Car"}
    set_params(workspace, profiles__demo__unlabelled__ignore_score=0.5)
    assert label_unlabelled(load_params(), OUT)["ignore_score"] == 0.5
    set_params(workspace, profiles__demo__data__classes=["Cyclist"], profiles__demo__unlabelled__ignore_score=None)
    for path in results.iterdir():
        path.write_text(path.read_text().replace("Cyclist", "cyclist"))
    with pytest.raises(DataError, match=r"unlabelled\.files: expected boxes of Cyclist, found .*Car"):
        label_unlabelled(load_params(), OUT)


def test_without_a_right_box_nothing_is_known(
    workspace: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such frames must not teach that there is nothing."""
    for path in results.iterdir():
        objects = read_results(path)
        write_results(path, replace(objects, locations_m=objects.locations_m + 500))
    assert label_unlabelled(load_params(), OUT)["keep_score"] is None
    assert {objects.names for objects in written(workspace)} == {("DontCare",)}
    assert "not one box on the held-out frames is right" in capsys.readouterr().err


@pytest.mark.usefixtures("results")
def test_true_labels_stay_as_they_are(workspace: Path) -> None:
    """Truncation and occlusion too, which decide whether an object trains."""
    set_params(workspace, profiles__demo__unlabelled__boxes="labels")
    figures = label_unlabelled(load_params(), OUT)
    source, frames = unlabelled()
    cars = 0
    for frame, found in zip(frames, written(workspace), strict=True):
        true = read_labels(source.hidden_label(frame))
        cars += true.names.count("Car")
        assert found.names == true.names
        np.testing.assert_allclose(found.truncation, true.truncation)
        np.testing.assert_allclose(found.rotation_y_rad, true.rotation_y_rad, atol=0.01)
    assert figures["boxes_a_frame"] == cars / len(frames)
    assert "keep_score" not in figures
