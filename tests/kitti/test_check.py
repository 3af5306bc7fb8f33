"""Every kind of damage to a KITTI folder gives its line and exit status 1; a good folder passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.check import check_command, read_png_size

P2 = np.array([[720.0, 0, 620, 45], [0, 720, 180, 0.2], [0, 0, 1, 0.003]])
SCANNER = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.3]])
CAR = "Car 0.00 0 0.00 584.00 144.00 656.00 216.00 1.50 1.60 3.90 {x} 0.75 20.00 0.00"


def _frame(root: Path, half: str, frame: str, label: str | None) -> None:
    folder = root / half
    for kind in ("image_2", "calib", "label_2", "velodyne"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "image_2" / f"{frame}.png"), np.zeros((375, 1242, 3), np.uint8))
    write_calibration(folder / "calib" / f"{frame}.txt", Calibration(P2, np.eye(3), SCANNER))
    np.ones((5, 4), np.float32).tofile(folder / "velodyne" / f"{frame}.bin")
    if label is not None:
        (folder / "label_2" / f"{frame}.txt").write_text(label)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for frame in ("000000", "000001"):
        _frame(tmp_path, "training", frame, "\n".join([CAR.format(x="0.00")] * 3) + "\n")
    _frame(tmp_path, "testing", "000000", None)
    return tmp_path


def _lines(root: Path, capsys: pytest.CaptureFixture[str], status: int) -> list[str]:
    if status:
        with pytest.raises(typer.Exit) as stop:
            check_command(root)
        assert stop.value.exit_code == status
    else:
        check_command(root)
    return capsys.readouterr().out.splitlines()


def test_whole_folder_passes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = _lines(root, capsys, 0)
    assert line == "2 training frames and 1 testing frame (KITTI has 7,481 training and 7,518 testing): no problems"


def test_missing_partners(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each missing file of a frame, one for a folder without any."""
    (root / "training/image_2/000001.png").unlink()
    (root / "training/velodyne/000000.bin").unlink()
    (root / "testing/calib/000000.txt").unlink()
    lines = _lines(root, capsys, 1)
    assert lines[:-1] == [
        f"{root}/training/velodyne/000000.bin: missing",
        f"{root}/training/image_2/000001.png: missing",
        f"{root}/testing/calib: expected .txt files, found none",
    ]
    assert lines[-1].endswith(": 3 problems")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def _image(*shape: int) -> Callable[[Path], object]:
    return lambda path: cv2.imwrite(str(path), np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("image_2/000000.png", _cut, "cut short"),
        ("image_2/000000.png", _text("no image"), "expected a PNG image"),
        ("image_2/000000.png", _text(""), "expected a PNG image"),
        ("image_2/000000.png", _image(9, 9), "8-bit RGB"),
        ("image_2/000000.png", _image(94, 310, 3), "not near the middle"),
        ("calib/000000.txt", _text("P2: 1 2 3\n"), "P2: expected 12 numbers"),
        ("velodyne/000000.bin", _cut, "16-byte points, found 60 bytes"),
        ("velodyne/000000.bin", lambda path: np.full(4, np.nan, "<f4").tofile(path), "other numbers"),
        ("label_2/000000.txt", _text("Car 0 0\n"), "000000.txt:1:"),
        ("label_2/000000.txt", _text(CAR.format(x="0.00").replace("Car", "Cra")), "'Cra'"),
        ("label_2/000000.txt", _text(CAR.format(x="0.00").replace("656", "556")), "left, top"),
        ("label_2/000000.txt", _text(CAR.format(x="0.00").replace("656", "1656")), "leaves the"),
        ("label_2/000000.txt", _text("\n".join([CAR.format(x="9.00")] * 3)), "different frames"),
    ],
)  # fmt: skip
def test_broken_files(
    root: Path, capsys: pytest.CaptureFixture[str], file: str, damage: Callable[[Path], object], says: str
) -> None:
    """Each kind of damage is named, in a line with the file's name."""
    damage(root / "training" / file)
    lines = _lines(root, capsys, 1)
    assert any(says in line for line in lines[:-1])
    assert all("000000" in line for line in lines[:-1])


def test_camera_of_other_pixels(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A P2 whose axes were scaled apart is found."""
    scaled = P2.copy()
    scaled[1] *= 1.3
    write_calibration(root / "testing/calib/000000.txt", Calibration(scaled, np.eye(3), SCANNER))
    assert "expected square pixels" in _lines(root, capsys, 1)[0]


def test_lists(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists name frames that exist; `test` looks in testing."""
    (root / "ImageSets").mkdir()
    (root / "ImageSets/test.txt").write_text("000000\n")
    (root / "ImageSets/train.txt").write_text("000000\n000007\n")
    (root / "ImageSets/val.txt").write_text("\n")
    lines = _lines(root, capsys, 1)
    assert lines[0] == f"{root}/ImageSets/train.txt: 1 of 2 frames have no image in training, first 000007"
    assert lines[1].startswith(f"{root}/ImageSets/val.txt: expected frame ids")


def test_no_folder_and_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no such folder"):
        check_command(tmp_path / "absent")
    lines = _lines(tmp_path, capsys, 1)
    assert lines == [f"{tmp_path}: expected a folder training or testing, found neither", "no frames: 1 problem"]


def test_png_size(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((3, 70000, 3), np.uint8))
    assert read_png_size(tmp_path / "a.png") == (70000, 3)


def test_real_frames_pass(kitti_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _lines(kitti_dir, capsys, 0)[-1].endswith(": no problems")
