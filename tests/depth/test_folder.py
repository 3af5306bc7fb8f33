"""Whole folders: restart, broken frames, and depth files made elsewhere."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from monokd.commands.densify import densify
from monokd.depth.folder import check_depth_files, densify_folder
from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_depth
from tests.depth.worlds import SHAPE, camera, sweep, wall, write_frame

FRAMES = ["000000", "000001", "000002"]


@pytest.fixture
def root(tmp_path: Path) -> KittiFolder:
    """Three frames before walls at 5, 6 and 7 m."""
    folder = KittiFolder(tmp_path / "kitti")
    for i, frame in enumerate(FRAMES):
        write_frame(folder, frame, sweep(wall(5.0 + i)), camera())
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_every_frame_gets_its_map(root: KittiFolder, tmp_path: Path, workers: int) -> None:
    result = densify_folder(root, tmp_path / "out", FRAMES, workers=workers)
    assert (result.made, result.kept, result.errors) == (3, 0, ())
    for i, frame in enumerate(FRAMES):
        depth_m = read_depth(tmp_path / "out" / f"{frame}.png")
        assert depth_m.shape == SHAPE
        np.testing.assert_allclose(depth_m[60:], 5.0 + i, atol=1 / 256)


def test_finished_frames_are_kept_and_broken_ones_made_again(root: KittiFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    densify_folder(root, out, FRAMES, workers=1)
    whole = (out / "000001.png").read_bytes()
    before = (out / "000000.png").stat().st_mtime_ns
    (out / "000001.png").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(out / "000002.png"), np.ones((5, 5), np.uint16))
    result = densify_folder(root, out, FRAMES, workers=1)
    assert (result.made, result.kept) == (2, 1)
    assert (out / "000000.png").stat().st_mtime_ns == before
    assert (out / "000001.png").read_bytes() == whole
    assert sorted(path.name for path in out.iterdir()) == [f"{frame}.png" for frame in FRAMES]


BREAKAGES: dict[str, Callable[[KittiFolder], object]] = {
    "16-byte points": lambda r: r.velodyne("000001").write_bytes(b"x" * 30),
    "in the image, found none": lambda r: np.full((4, 4), -5, np.float32).tofile(r.velodyne("000001")),
    "no such scan": lambda r: r.velodyne("000001").unlink(),
    "no such image": lambda r: r.image("000001").unlink(),
    "expected 12 numbers": lambda r: r.calibration("000001").write_text("P2: 1 2\n"),
    "no such calibration": lambda r: r.calibration("000001").unlink(),
}


@pytest.mark.parametrize("reason", BREAKAGES)
def test_a_broken_frame_is_one_line_and_exit_2_and_the_others_are_made(
    root: KittiFolder, tmp_path: Path, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    BREAKAGES[reason](root)
    out, split = tmp_path / "out", tmp_path / "split.txt"
    split.write_text("\n".join(FRAMES), encoding="ascii")
    with pytest.raises(typer.Exit) as stop:
        densify(root.root, out, split=split, workers=1)
    assert stop.value.exit_code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if reason in line]
    assert len(lines) == 1
    assert str(root.folder) in lines[0]
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000002.png"]


def test_depth_files_made_elsewhere_are_checked(root: KittiFolder, tmp_path: Path) -> None:
    depth = tmp_path / "depth"
    densify_folder(root, depth, FRAMES, workers=1)
    assert check_depth_files(root, depth, FRAMES) == []
    cv2.imwrite(str(depth / "000000.png"), np.full((100, 180), 2560, np.uint16))  # cut, as KITTI's own are
    cv2.imwrite(str(depth / "000001.png"), np.full(SHAPE, 60_000, np.uint16))
    (depth / "000002.png").unlink()
    large, missing = map(str, check_depth_files(root, depth, FRAMES))
    assert large.startswith(f"{depth}/000001.png: ")
    assert "up to 200 m" in large
    assert missing == f"{depth}/000002.png: expected a depth PNG for frame 000002, found none"
