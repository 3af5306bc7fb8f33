"""Images, depth maps, scans and lists: read as they are, refused in one line."""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder, read_split, read_velodyne
from monokd.kitti.images import pad_depth, read_depth, read_image, read_stored_depth


def test_images_are_rgb_and_depth_maps_metres_in_256ths(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 3, 3), (1, 2, 3), np.uint8))  # OpenCV writes B, G, R
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.full((2, 3, 3), (3, 2, 1)))
    stored = np.array([[0, 1, 256], [300, 65535, 5120]], np.uint16)
    cv2.imwrite(str(tmp_path / "b.png"), stored)
    np.testing.assert_array_equal(read_stored_depth(tmp_path / "b.png"), stored)
    np.testing.assert_array_equal(read_depth(tmp_path / "b.png"), stored / 256)


def test_small_depth_maps_are_padded() -> None:
    """All missing rows on top, columns half left, the rest right, by the border's values."""
    stored = np.arange(6, dtype=np.uint16).reshape(2, 3)
    expected = [[0, 0, 1, 2, 2, 2]] * 3 + [[3, 3, 4, 5, 5, 5]]
    np.testing.assert_array_equal(pad_depth(stored, 4, 6, Path("a.png")), expected)
    with pytest.raises(DataError, match=r"a\.png: expected a depth map no larger than its image, 2×2, found 3×2"):
        pad_depth(stored, 2, 2, Path("a.png"))


def test_reading_in_threads_leaves_the_filters_of_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(path := str(tmp_path / "a.png"), np.zeros((2, 2, 3), np.uint8))
    warnings.simplefilter("default")
    before, opened, seconds = list(warnings.filters), Image.open, iter((0.1, 0.3))

    def slow(*arguments: Any, **settings: Any) -> Image.Image:
        time.sleep(next(seconds))  # the first to begin is the first to end
        return opened(*arguments, **settings)

    monkeypatch.setattr(Image, "open", slow)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read_image, [path] * 2))
    assert warnings.filters == before


def test_images_that_are_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Missing and empty files, and images of another kind; a missing one makes no second line."""
    path = tmp_path / "a.png"
    for read, what, kind in ((read_image, "image", "PNG or JPEG"), (read_depth, "depth map", "PNG")):
        with pytest.raises(DataError, match=rf"a\.png: no such {what}"):
            read(path)
        path.touch()
        with pytest.raises(DataError, match=f"expected a {kind} image, found none"):
            read(path)
        path.unlink()
    assert capfd.readouterr().err == ""
    cv2.imwrite(str(path), np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match="one 16-bit channel, found a PNG of mode RGB"):
        read_depth(path)


def test_scan(tmp_path: Path) -> None:
    points = np.arange(8, dtype="<f4").reshape(2, 4)
    points.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_velodyne(tmp_path / "a.bin"), points)
    points[1, 2] = np.nan
    points.tofile(tmp_path / "a.bin")
    with pytest.raises(DataError, match=r"finite coordinates within 1000 m, found .* at point 1"):
        read_velodyne(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(b"123")
    with pytest.raises(DataError, match="16-byte points, found 3 bytes"):
        read_velodyne(tmp_path / "a.bin")
    with pytest.raises(DataError, match="no such scan"):
        read_velodyne(tmp_path / "b.bin")


def test_folder_index(tmp_path: Path) -> None:
    """Frames are the images, ascending; hidden files (being written) do not count."""
    folder = KittiFolder(tmp_path, "testing")
    with pytest.raises(DataError, match="found no such folder"):
        folder.frames()
    (tmp_path / "testing/image_2").mkdir(parents=True)
    with pytest.raises(DataError, match="found none"):
        folder.frames()
    for name in ("2.png", "1.png", ".3.png", "4.txt"):
        (tmp_path / "testing/image_2" / name).touch()
    assert folder.frames() == ["1", "2"]


def test_split_files(tmp_path: Path) -> None:
    """Order kept, blank lines ignored; twice the same, no plain name, nothing: one line with the line's number."""
    path = tmp_path / "a.txt"
    path.write_text("000002\n\n 000001 \n")
    assert read_split(path) == ["000002", "000001"]
    for text, reason in (
        ("1\n2\n1\n", r"a\.txt:3: frame 1 stands in line 1"),
        ("../x\n", ":1: expected a frame id"),
        ("\n", "none"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=reason):
            read_split(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_split(path)
    with pytest.raises(DataError, match="no such split"):
        read_split(tmp_path / "b.txt")
