"""A submission: one file a test frame in the zip's root, the same bytes every time, nothing where anything is wrong."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from monokd.commands import submit as submit_module
from monokd.commands.submit import numbered_frames, submit
from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.kitti.objects import Objects, from_rows
from tests.conftest import write_detector
from tests.evaluation.cases import Line, line


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "model.safetensors", biases={"size_2d.2.bias": 3.0})  # boxes that the server takes


@pytest.fixture
def root(tiny_workspace: Path, tmp_path: Path) -> Path:
    """A folder with three test frames."""
    others = shutil.ignore_patterns("label*", "velodyne", "00000[3-9]*", "00001*")
    shutil.copytree(tiny_workspace / "data/demo/training", tmp_path / "kitti/testing", ignore=others)
    return tmp_path / "kitti"


def objects(*lines: Line) -> Objects:
    return from_rows(tuple(name for name, _ in lines), np.array([row for _, row in lines]).reshape(-1, 15))


def test_a_submission(root: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit(model, root, tmp_path / "a.zip", score_threshold=0.0)
    output = capsys.readouterr()
    assert "a.zip: 3 frames, " in output.out
    assert "note: the server takes the whole test set, 7518 frames" in output.err
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["000000.txt", "000001.txt", "000002.txt"]
        lines = [line for name in archive.namelist() for line in archive.read(name).decode("ascii").splitlines()]
    assert lines
    assert all(len(line.split()) == 16 for line in lines)
    submit(model, root, tmp_path / "b.zip", score_threshold=0.0)
    assert (written := (tmp_path / "a.zip").read_bytes()) == (tmp_path / "b.zip").read_bytes()
    (root / "testing/image_2/000002.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000002\.png"):
        submit(model, root, tmp_path / "a.zip", score_threshold=0.0)
    assert (tmp_path / "a.zip").read_bytes() == written


def test_objects_that_the_benchmark_does_not_take_are_left_out_and_named(
    root: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images are 416×128: a box left of it, one below it, one of no width, an object of no length."""
    boxes = (10, 20, 30, 40), (-30, 20, -1, 40), (10, 128, 30, 140), (10, 20, 10, 40), (410, 20, 900, 40)
    first = objects(*(line(box=box, score=0.5) for box in boxes), line(size=(1.5, 1.6, 0.001), score=0.5))

    def found(*args: object, **settings: object) -> Iterator[tuple[str, Objects]]:
        return iter([("000000", first), ("000001", objects()), ("000002", objects())])

    monkeypatch.setattr(submit_module, "detect_images", found)
    submit(model, root, tmp_path / "a.zip", score_threshold=0.0)
    output = capsys.readouterr()
    assert "3 frames, 2 objects" in output.out
    assert (
        "note: 4 objects left out, the first: 000000: box [-30.0, 20.0, -1.0, 40.0] px of a 416×128 image" in output.err
    )
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert len(archive.read("000000.txt").splitlines()) == 2
        assert archive.read("000001.txt") == b""


def test_frames_must_be_whole_before_anything_is_computed(root: Path, model: Path, tmp_path: Path) -> None:
    (root / "testing/calib/000001.txt").unlink()
    with pytest.raises(DataError, match=r"000001\.txt: expected a calibration file"):
        submit(model, root, tmp_path / "a.zip", score_threshold=0.0)
    (root / "testing/image_2/000001.png").unlink()
    with pytest.raises(DataError, match="expected frame 000001 next, found 000002"):
        numbered_frames(KittiFolder(root, "testing"))
    with pytest.raises(DataError, match=r"ends in \.zip"):
        submit(model, root, tmp_path / "a.txt", score_threshold=0.0)
    assert not list(tmp_path.glob("*.zip"))
