"""Every kind of damage to a KITTI folder gives its line and exit status 1; a good folder passes."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from monokd.commands.check import check
from monokd.commands.frame_check import label_problems
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.labels import read_labels
from tests.evaluation.cases import extract_texts
from tests.kitti import worlds

P2 = np.array([[720.0, 0, 620, 45], [0, 720, 180, 0.2], [0, 0, 1, 0.003]])
SCANNER = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.3]])
HERE = "Car 0.00 0 0.00 584.00 144.00 656.00 216.00 1.50 1.60 3.90 0.00 0.75 20.00 0.00"


def _frame(root: Path, half: str, frame: str, label: str | None) -> None:
    folder = root / half
    for kind in ("image_2", "calib", "label_2", "velodyne"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "image_2" / f"{frame}.png"), np.zeros((375, 1242, 3), np.uint8))
    write_calibration(folder / "calib" / f"{frame}.txt", Calibration(P2, np.eye(3), SCANNER))
    np.arange(20, dtype=np.float32).reshape(5, 4).tofile(folder / "velodyne" / f"{frame}.bin")
    if label is not None:
        (folder / "label_2" / f"{frame}.txt").write_text(label)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for frame in ("000000", "000001"):
        _frame(tmp_path, "training", frame, "\n".join([HERE] * 3) + "\n")
    _frame(tmp_path, "testing", "000000", None)
    return tmp_path


def _output(root: Path, capsys: pytest.CaptureFixture[str], status: int, depth: Path | None = None) -> list[str]:
    with pytest.raises(typer.Exit, check=lambda stop: stop.exit_code == 1) if status else nullcontext():
        check(root, depth)
    return capsys.readouterr().out.splitlines()


def _lines(root: Path, capsys: pytest.CaptureFixture[str], status: int, depth: Path | None = None) -> list[str]:
    """The problems without the heads of their groups, and the verdict."""
    *body, verdict = _output(root, capsys, status, depth)
    return [*(line.strip() for line in body if line.startswith("  ")), verdict]


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


def test_frames_without_labels_need_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of ImageSets/unlabelled.txt; their depth maps lie in a folder of their own."""
    _frame(root, "training", "000002", None)
    assert _lines(root, capsys, 1)[0] == f"{root}/training/label_2/000002.txt: missing"
    (root / "ImageSets").mkdir()
    (root / "ImageSets/unlabelled.txt").write_text("000002\n")
    assert len(_lines(root, capsys, 0)) == 1
    assert [line for line in _lines(root, capsys, 1, root) if "000002" in line] == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def _label(old: str, new: str) -> Callable[[Path], object]:
    """A changed label in the third line."""
    return _text(f"\n\n{HERE.replace(old, new)}")


def _image(*shape: int) -> Callable[[Path], object]:
    return lambda path: cv2.imwrite(str(path), np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("image_2/000000.png", _cut, "cut short"),
        ("image_2/000000.png", _text("no image"), "expected a PNG image"),
        ("image_2/000000.png", _image(9, 9), "8-bit RGB"),
        ("image_2/000000.png", _image(94, 310, 3), "not near the middle"),
        ("calib/000000.txt", _text("P2: 1 2 3\n"), "P2: expected 12 numbers"),
        ("velodyne/000000.bin", _cut, "16-byte points, found 60 bytes"),
        ("velodyne/000000.bin", lambda path: np.full(4, np.nan, "<f4").tofile(path), "expected finite coordinates"),
        ("velodyne/000000.bin", lambda path: np.full(4, 2000, "<f4").tofile(path), "within 1000 m"),
        ("velodyne/000000.bin", lambda path: np.full(4, -5, "<f4").tofile(path), "in the fourth place"),
        ("velodyne/000000.bin", lambda path: np.full(80, 5, "<f4").tofile(path), "the same one everywhere"),
        ("label_2/000000.txt", _text("Car 0 0\n"), "000000.txt:1:"),
        ("label_2/000000.txt", _label("Car", "Cra"), "'Cra'"),
        ("label_2/000000.txt", _label("656", "556"), "left, top"),
        ("label_2/000000.txt", _label("656", "1656"), "leaves the"),
        ("label_2/000000.txt", _label("3.90 0.00", "3.90 9.00"), "000000.txt:3: the 3D box projects to"),
        ("label_2/000000.txt", _label(" 20.00", " -20.00"), "lies behind the camera"),
        ("label_2/000000.txt", _label("0.00 0 0.00", "1.50 0 0.00"), "truncation: exp"),
        ("label_2/000000.txt", _label("0.00 0 0.00", "0.00 9 0.00"), "occlusion: exp"),
        ("label_2/000000.txt", _label("0.00 0 0.00", "0.00 0 1.57"), "do not agree"),
        ("label_2/000000.txt", _label("0.00 0 0.00", "0.00 0 90.0"), "within ±π"),
        ("label_2/000000.txt", _label("3.90", "390"), "up to 60 m, found 1.5 1.6 390"),
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


def test_cameras_that_cannot_be(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Axes scaled apart; rotations that the reader lets pass but that move points by decimetres; millimetres."""
    scaled, stretched = P2 * [[1], [1.3], [1]], np.diag([1.002, 1, 1])
    write_calibration(root / "training/calib/000000.txt", Calibration(P2, stretched, SCANNER * [[1, 1, 1, 1000]]))
    write_calibration(root / "testing/calib/000000.txt", Calibration(scaled, np.eye(3), SCANNER))
    lines = _lines(root, capsys, 1)
    assert "R0_rect: expected a rotation, found rows that miss orthonormality by 0.004" in lines[0]
    assert "the scanner is 316.2 m away" in lines[1]
    assert "expected square pixels" in lines[-2]


def test_problems_are_grouped_and_a_name_that_a_terminal_obeys_is_spelled_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "training/velodyne/000001.bin").write_bytes(b"123")
    (root / "training/image_2/\x1b[2Jgone.png").write_bytes(b"")
    output = _output(root, capsys, 1)
    assert [line for line in output[:-1] if not line.startswith("  ")] == ["files: 4", "images: 1", "scans: 1"]
    assert "expected frame names of letters" in output[1]
    assert "\\x1b[2Jgone.png: expected a PNG image" in "\n".join(output)


def test_lists(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames without an image (`test` looks in testing), what makes a list unreadable, frames shared."""
    (root / "ImageSets").mkdir()
    (root / "ImageSets/test.txt").write_text("000000\n")
    (root / "ImageSets/train.txt").write_text("000000\n000007\n")
    (root / "ImageSets/val.txt").write_text("\n000000\n")
    (root / "ImageSets/twice.txt").write_text("000000\n000000\n")
    lists = root / "ImageSets"
    assert _lines(root, capsys, 1)[:-1] == [
        f"{lists}/train.txt: 1 of 2 frames have no image, first 000007",
        f"{lists}/twice.txt:2: frame 000000 stands in line 1 already",
        f"{lists}: 1 frames stand in train and in val, first 000000",
    ]
    for name in ("val", "twice"):
        (lists / f"{name}.txt").unlink()
    (lists / "train.txt").write_text("000001\n")  # of the official val split, which takes the place of a list
    (lists / "trainval.txt").write_text("000000\n000001\n")  # another frame than that of the testing half
    assert _lines(root, capsys, 1)[:-1] == [f"{lists}: 1 frames stand in train and in val, first 000001"]


def test_depth_maps(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of depth maps is checked for partners, kind, size, range and holes."""
    depth = tmp_path / "depth"
    depth.mkdir()
    whole = np.full((375, 1242), 2560, np.uint16)
    cv2.imwrite(str(depth / "000000.png"), whole)
    assert _lines(root, capsys, 1, depth)[0] == f"{depth}/000001.png: missing"
    for broken, says in (
        (whole.astype(np.uint8), "expected one 16-bit channel"),
        (np.pad(whole, 1), "at most the image's 375×1242 pixels"),
        (whole * np.uint16(25), "expected metres × 256 up to 200 m"),
        (whole // np.uint16(100), "a wrong scale?"),
        (whole * (np.arange(375) < 10).astype(np.uint16)[:, None], "expected depth in at least 5%"),
    ):
        cv2.imwrite(str(depth / "000001.png"), broken)
        (line, _) = _lines(root, capsys, 1, depth)
        assert line.startswith(f"{depth}/000001.png: ")
        assert says in line
    cv2.imwrite(str(depth / "000001.png"), whole)
    assert len(_lines(root, capsys, 0, depth)) == 1


def test_disk_space_for_what_follows(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert "depth maps and models need about 2.0 GiB here, 0.0 GiB are free" in _lines(root, capsys, 1)[0]


def test_no_folder_and_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no such folder"):
        check(tmp_path / "absent")
    lines = _lines(tmp_path, capsys, 1)
    assert lines == [f"{tmp_path}: expected a folder training or testing, found neither", "no frames: 1 problem"]


def test_raw_drives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scan that the scanner missed is no problem; a date's broken calibration is one line, not one a frame."""
    raw, date = tmp_path, tmp_path / "2011_09_26"
    worlds.write_calibration(raw)
    worlds.write_drive(raw, worlds.DRIVE, [0, 1, 2])
    (date / worlds.DRIVE / "velodyne_points/data/0000000001.bin").unlink()
    (line,) = _lines(raw, capsys, 0)
    assert line.startswith("2 frames of 1 raw drives (1 images or scans without a partner are left out; splits drives")
    assert "mapping/train_rand.txt: no such mapping" in line
    worlds.write_mapping(raw / "mapping", [f"{worlds.DRIVE}_0000000000"])
    passed = "2 frames of 1 raw drives (1 images or scans without a partner are left out): no problems"
    assert _lines(raw, capsys, 0) == [passed]
    (date / "calib_velo_to_cam.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0\n")
    _cut(date / worlds.DRIVE / "image_02/data/0000000002.png")
    worlds.write_drive(raw, "2011_09_30_drive_0016_sync", [4])
    (raw / "2011_09_30/2011_09_30_drive_0016_sync/velodyne_points/data/0000000004.bin").unlink()
    assert _lines(raw, capsys, 1)[:-1] == [
        f"{raw}/2011_09_30/2011_09_30_drive_0016_sync/velodyne_points/data: expected files, found none",
        f"{date}/{worlds.DRIVE}/image_02/data/0000000002.png: expected a whole PNG image, found one that is cut short",
        f"{date}/calib_velo_to_cam.txt:2: T: expected 3 numbers, found 2",
    ]
    (date / "calib_velo_to_cam.txt").unlink()
    assert f"{date}/calib_velo_to_cam.txt: missing" in _lines(raw, capsys, 1)


def test_real_frames_pass(kitti_dir: Path, kitti_raw_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = _lines(kitti_raw_dir, capsys, 0)  # its mapping has a folder of another name
    assert line.startswith("12 frames of 1 raw drives (splits drives and places would stop: ")
    assert _lines(kitti_dir, capsys, 0)[-1].endswith(": no problems")
    lines = _output(kitti_dir, capsys, 1, kitti_dir / "training/depth_dense")
    assert [line for line in lines if line.startswith("  ") and not line.endswith(": missing")] == []


def test_no_label_of_kitti_is_blamed(kitti_eval_dir: Path, tmp_path: Path) -> None:
    """The rules that need no camera, over all 7,481 files."""
    paths = sorted(extract_texts(kitti_eval_dir / "label_2.tar.xz", tmp_path / "labels").iterdir())
    assert len(paths) == 7481
    for path in paths:
        objects = read_labels(path)
        assert not list(label_problems(objects, list(range(len(objects))), (1242, 376), None)), path.name
