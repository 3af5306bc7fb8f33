"""Raw drives made of small generated frames."""

from pathlib import Path

import cv2
import numpy as np

CAM_TO_CAM = """\
calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
R_00: 1 0 0 0 1 0 0 0 1
S_rect_00: 124 37
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_00: {f} 0 62 0 0 {f} 18 0 0 0 1 0
S_rect_02: 124 37
R_rect_02: 0 1 0 -1 0 0 0 0 1
P_rect_02: {f} 0 62 4.5 0 {f} 18 0.2 0 0 1 0.003
"""
VELO_TO_CAM = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.08 -0.27\ndelta_f: 0 0\n"
DRIVE = "2011_09_26_drive_0001_sync"


def write_calibration(root: Path, date: str = "2011_09_26", focal_px: float = 72.0) -> None:
    """Write the two files of a date."""
    (root / date).mkdir(parents=True, exist_ok=True)
    (root / date / "calib_cam_to_cam.txt").write_text(CAM_TO_CAM.format(f=focal_px))
    (root / date / "calib_velo_to_cam.txt").write_text(VELO_TO_CAM)


def write_drive(
    root: Path, drive: str, numbers: list[int], *, width_px: int = 124, place: tuple[float, float] = (49.0, 8.4)
) -> None:
    """Write frames of a drive: a grey image, a wall of points 10 m ahead, a place on the earth."""
    folder = root / drive[:10] / drive
    for sensor in ("image_02", "velodyne_points", "oxts"):
        (folder / sensor / "data").mkdir(parents=True, exist_ok=True)
    side, up = (grid.ravel() for grid in np.meshgrid(np.linspace(-8, 8, 90), np.linspace(-2, 1, 12)))
    points = np.stack([np.full(side.shape, 10.0), side, up, np.linspace(0, 1, len(side))], axis=1).astype("<f4")
    for number in numbers:
        image = np.full((37, width_px, 3), number % 200, np.uint8)
        cv2.imwrite(str(folder / f"image_02/data/{number:010d}.png"), image)
        points.tofile(folder / f"velodyne_points/data/{number:010d}.bin")
        (folder / f"oxts/data/{number:010d}.txt").write_text(f"{place[0]:.12f} {place[1]:.12f} 115.0 0.03\n")


def write_mapping(folder: Path, frames: list[str]) -> None:
    """Write the development kit's mapping: object frame i is raw frame frames[i]; lines in reverse order."""
    folder.mkdir(parents=True)
    lines = [f"{frame[:10]} {frame[:-11]} {frame[-10:]}\n" for frame in reversed(frames)]
    (folder / "train_mapping.txt").write_text("".join(lines))
    (folder / "train_rand.txt").write_text(",".join(str(len(frames) - i) for i in range(len(frames))))
