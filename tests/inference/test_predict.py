"""Prediction as files: every frame has one (Q6 says otherwise), scores keep their digits (Q13 says otherwise)."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from monokd.commands.predict import find_files, predict_command
from monokd.errors import DataError
from monokd.inference.predict import detect, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.models.checkpoint import DetectorInfo, save_detector
from monokd.models.detector import Detector, build_detector
from monokd.samples.dataset import Frames


def detector() -> Detector:
    torch.manual_seed(0)
    return build_detector(0.125)


def frames(workspace: Path) -> Frames:
    root = KittiFolder(workspace / "data/demo")
    return Frames(root, root.frames()[:5], depth_dir=None, labels=False, height_px=64, width_px=128)


@pytest.mark.parametrize(("published", "count"), [(False, 5), (True, 4)])
def test_q6_whether_the_last_partial_batch_is_predicted(tiny_workspace: Path, published: bool, count: int) -> None:
    found = detect(
        detector(), frames(tiny_workspace), sees_depth=False, score_threshold=0.0,
        batch_size=2, drop_last=published,
    )  # fmt: skip
    assert len(list(found)) == count


def test_the_batch_size_changes_no_result(tiny_workspace: Path) -> None:
    results = [
        list(
            detect(
                detector(), frames(tiny_workspace), sees_depth=False, score_threshold=0.0,
                batch_size=size,
            )
        )
        for size in (1, 5)
    ]  # fmt: skip
    for (name, one), (other_name, other) in zip(*results, strict=True):
        assert name == other_name
        np.testing.assert_allclose(np.sort(one.scores), np.sort(other.scores), rtol=1e-4)


def one_car(score: float) -> Objects:
    return from_rows(("Car",), np.array([0, 0, 0.1, 10, 20, 30, 40, 1.5, 1.6, 3.9, 1, 1.6, 20, 0.15, score]))


@pytest.mark.parametrize(("published", "score"), [(False, 0.123457), (True, 0.12)])
def test_q13_decimals_of_scores(tmp_path: Path, published: bool, score: float) -> None:
    found = iter([("000001", one_car(0.1234567))])
    write_predictions(tmp_path / "out", found, classes=("Car",), two_decimal_scores=published)
    assert read_results(tmp_path / "out/000001.txt").scores.tolist() == [score]


def test_other_classes_are_left_out_and_the_file_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("from an earlier run")
    count = write_predictions(out, iter([("000001", one_car(0.5))]), classes=("Cyclist",), two_decimal_scores=False)
    assert count == 1
    assert [path.name for path in out.iterdir()] == ["000001.txt"]
    assert (out / "000001.txt").read_text() == ""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_detector(detector(), path, DetectorInfo(width=0.125, height_px=64, width_px=128))
    return path


def test_the_command_predicts_a_folder_and_a_single_image_alike(
    tiny_workspace: Path, tmp_path: Path, model: Path
) -> None:
    folder = tiny_workspace / "data/demo/training"
    settings: dict[str, Any] = {"draw": False, "score_threshold": 0.0, "behaviour": "corrected"}
    predict_command(model, folder / "image_2", folder / "calib", tmp_path / "all", **settings)
    image, calib = folder / "image_2/000003.png", folder / "calib/000003.txt"
    predict_command(model, image, calib, tmp_path / "one", **(settings | {"draw": True}))
    assert len(list((tmp_path / "all").glob("*.txt"))) == 10
    many, one = read_results(tmp_path / "all/000003.txt"), read_results(tmp_path / "one/000003.txt")
    np.testing.assert_allclose(np.sort(one.scores), np.sort(many.scores), rtol=1e-4)
    picture = cv2.imread(str(tmp_path / "one/pictures/000003.png"))
    assert picture is not None
    assert picture.shape[:2] == (128, 416)


def test_wrong_input_is_one_line(tmp_path: Path, tiny_workspace: Path, model: Path) -> None:
    folder = tiny_workspace / "data/demo/training"
    with pytest.raises(DataError, match="behaviour: expected published or corrected, found 'best'"):
        predict_command(
            model, folder / "image_2", folder / "calib", tmp_path / "x", draw=False, score_threshold=0.2,
            behaviour="best",
        )  # fmt: skip
    with pytest.raises(DataError, match="found nothing there"):
        find_files(tmp_path / "absent", folder / "calib")
    with pytest.raises(DataError, match="found none"):
        find_files(folder / "calib", folder / "calib")
    with pytest.raises(DataError, match="expected a calibration file"):
        find_files(folder / "image_2", tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png: expected one image a name, found a\.jpg too"):
        find_files(tmp_path, folder / "calib/000000.txt")


def test_any_name_names_a_result(tmp_path: Path, tiny_workspace: Path, model: Path) -> None:
    """Spaces and other alphabets too; a hidden file is no image."""
    folder = tiny_workspace / "data/demo/training"
    (tmp_path / "images").mkdir()
    for name in ("Straße 1.png", "街.PNG", "._000000.png"):
        shutil.copy(folder / "image_2/000000.png", tmp_path / "images" / name)
    predict_command(
        model, tmp_path / "images", folder / "calib/000000.txt", tmp_path / "out",
        draw=False, score_threshold=0.2, behaviour="corrected",
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Straße 1.txt", "街.txt"]
