"""Prediction as files: every frame has one (Q6 says otherwise), scores keep their digits (Q13 says otherwise)."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from monokd.commands.predict import find_files, predict
from monokd.errors import DataError
from monokd.inference.predict import full_batches, pick_device, write_predictions
from monokd.kitti.labels import read_results
from monokd.kitti.objects import Objects, from_rows
from tests.conftest import write_detector


def test_q6_the_last_partial_batch_is_left_out() -> None:
    assert full_batches(["a", "b", "c", "d", "e"], 2) == ["a", "b", "c", "d"]
    with pytest.raises(DataError, match="at least one full batch of 6, found 5"):
        full_batches(["a", "b", "c", "d", "e"], 6)


def one_car(score: float) -> Objects:
    return from_rows(("Car",), np.array([0, 0, 0.1, 10, 20, 30, 40, 1.5, 1.6, 3.9, 1, 1.6, 20, 0.15, score]))


@pytest.mark.parametrize(
    ("class_name", "decimals", "scores"), [("Car", 6, [0.123457]), ("Car", 2, [0.12]), ("Cyclist", 6, [])]
)
def test_files_hold_the_wanted_classes_and_decimals(
    tmp_path: Path, class_name: str, decimals: int, scores: list[float]
) -> None:
    """Quirk Q13; a frame without objects has an empty file, and what else is in the folder stays."""
    (tmp_path / "other.txt").write_text("the user's own")
    found = iter([("000001", one_car(0.1234567))])
    assert write_predictions(tmp_path, found, classes=(class_name,), score_decimals=decimals) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"000001.txt", "other.txt"}
    assert read_results(tmp_path / "000001.txt").scores.tolist() == scores


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "model.safetensors")


def test_the_command_predicts_a_folder_and_a_single_image_alike(
    tiny_workspace: Path, tmp_path: Path, model: Path
) -> None:
    folder = tiny_workspace / "data/demo/training"
    predict(model, folder / "image_2", folder / "calib", tmp_path / "all", score_threshold=0.0)
    image, calib = folder / "image_2/000003.png", folder / "calib/000003.txt"
    predict(model, image, calib, tmp_path / "one", draw=True, score_threshold=0.0, workers=1)
    assert len(list((tmp_path / "all").glob("*.txt"))) == 14
    many, one = read_results(tmp_path / "all/000003.txt"), read_results(tmp_path / "one/000003.txt")
    np.testing.assert_allclose(np.sort(one.scores), np.sort(many.scores), rtol=1e-4)
    picture = cv2.imread(str(tmp_path / "one/pictures/000003.png"))
    assert picture is not None
    assert picture.shape[:2] == (128, 416)


def test_wrong_input_is_one_line(tmp_path: Path, tiny_workspace: Path) -> None:
    folder = tiny_workspace / "data/demo/training"
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
    predict(model, tmp_path / "images", folder / "calib/000000.txt", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Straße 1.txt", "街.txt"]


def test_several_processes_share_the_images(
    tiny_workspace: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image once, every file whole, the same objects as one process finds; more processes than images too."""
    folder = tiny_workspace / "data/demo/training"
    arguments = model, folder / "image_2", folder / "calib"
    predict(*arguments, tmp_path / "one", score_threshold=0.0)
    monkeypatch.setenv("WORLD_SIZE", "12")
    written = []
    for rank in range(12):
        monkeypatch.setenv("RANK", str(rank))
        predict(*arguments, tmp_path / f"several/{rank}", score_threshold=0.0)
        written += list((tmp_path / f"several/{rank}").iterdir())
    assert sorted(path.name for path in written) == [f"{i:06d}.txt" for i in range(14)]
    for path in written:
        one, other = read_results(tmp_path / "one" / path.name), read_results(path)
        np.testing.assert_allclose(np.sort(one.scores), np.sort(other.scores), rtol=1e-4)


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(DataError, match="accelerator: expected a GPU for cuda, found none"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(DataError, match="at most one process a GPU, found 2 processes for 1 GPUs"):
        pick_device("auto")
