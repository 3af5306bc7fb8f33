"""`monokd show`: one PNG with all views, of a frame with and without labels, scan and results."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from monokd.commands.show import show
from monokd.errors import DataError
from tests.conftest import write_labels_as_results


@pytest.fixture
def root(tiny_workspace: Path, tmp_path: Path) -> Path:
    """Frame 000002 of the demo alone."""
    for kind in ("image_2", "calib", "label_2", "velodyne"):
        (source,) = (tiny_workspace / "data/demo/training" / kind).glob("000002.*")
        (tmp_path / "root/training" / kind).mkdir(parents=True)
        shutil.copy(source, tmp_path / "root/training" / kind)
    return tmp_path / "root"


def pixels(path: Path) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture[:, :, ::-1]  # type: ignore[return-value]


def test_all_views_stand_in_one_picture(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [write_labels_as_results(root / "training/label_2", root / name) for name in ("mine", "student")]
    show(root, "000002", folders, tmp_path / "all.png")
    assert "of Ground truth" in (printed := capsys.readouterr().out)
    assert "of mine" in printed
    picture = pixels(tmp_path / "all.png")
    assert picture.shape[0] > 2 * 1242 * 128 // 416  # image and depth, each grown to 1242 pixels of width
    assert picture.shape[1] > 1242
    for rgb in ((255, 255, 255), (120, 230, 170), (90, 185, 255)):
        assert (picture == rgb).all(axis=2).any(), rgb


def test_what_is_not_there_is_left_out(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A test frame has no label; one without a scan has no depth, unless a folder of maps is given."""
    (root / "training").rename(root / "testing")
    shutil.rmtree(root / "testing/label_2")
    show(root, "000002", out=tmp_path / "scan.png")
    assert "no boxes" in capsys.readouterr().out
    shutil.rmtree(root / "testing/velodyne")
    show(root, "000002", out=tmp_path / "image.png")
    assert pixels(tmp_path / "image.png").shape[0] < pixels(tmp_path / "scan.png").shape[0] * 0.6
    (root / "depth").mkdir()
    cv2.imwrite(str(root / "depth/000002.png"), np.full((100, 400), 2560, np.uint16))  # cut, as KITTI's own are
    show(root, "000002", out=tmp_path / "depth.png", depth=root / "depth")
    assert pixels(tmp_path / "depth.png").shape[0] == pixels(tmp_path / "scan.png").shape[0]
    below = pixels(tmp_path / "depth.png")[430:780, :1242]
    assert not (below == 110).all(axis=2).any()  # padded as in training, so none is unknown
    cv2.imwrite(str(root / "depth/000002.png"), np.full((100, 417), 2560, np.uint16))
    with pytest.raises(DataError, match=r"000002\.png: expected a depth map no larger than its image, 416×128"):
        show(root, "000002", out=tmp_path / "depth.png", depth=root / "depth")


def test_wrong_input_is_named_and_nothing_is_written(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jpg: expected a name that ends in \.png"):
        show(root, "000002", out=tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"000009\.png"):
        show(root, "000009", out=tmp_path / "a.png")
    with pytest.raises(DataError, match=r"empty/000002\.txt"):
        show(root, "000002", [tmp_path / "empty"], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
