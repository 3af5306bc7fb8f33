"""Small scanners, cameras and scenes with known depth."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.frames import KittiFolder

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
SHAPE = (120, 200)
FOCAL_PX, CENTRE_PX = 200.0, (100.0, 50.0)
# scanner axes (ahead, left, up) to camera axes (right, down, ahead)
AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def camera(scanner_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Calibration:
    """A camera of SHAPE pixels whose scanner stands at `scanner_m` in camera coordinates."""
    P2 = np.array([[FOCAL_PX, 0, CENTRE_PX[0], 0], [0, FOCAL_PX, CENTRE_PX[1], 0], [0, 0, 1, 0]])
    return Calibration(P2, np.eye(3), np.column_stack([AXES, scanner_m]))


def points_at(pixels: list[tuple[float, float, float]], calibration: Calibration) -> F32:
    """A scan (in this order) whose points fall on (u, v) at depth z of every triple."""
    u, v, z = np.array(pixels, np.float64).T
    points = calibration.unproject(np.stack([u, v], axis=1), z)
    scanner = (points - calibration.Tr_velo_to_cam[:, 3]) @ calibration.Tr_velo_to_cam[:, :3]
    return np.column_stack([scanner, np.zeros(len(scanner))]).astype(np.float32)


def sweep(surface: Callable[[F64], F64], *, rings: int = 24, columns: int = 120) -> F32:
    """A scan, ring after ring from the top, azimuth growing from the right; rays meet `surface`.

    `surface` gives the distances of N×3 unit rays (scanner axes), infinite where nothing is hit. The rings lie between
    8 degrees up and 18 down, their `columns` between 40 degrees right and left.
    """
    elevation = np.radians(np.linspace(8, -18, rings))
    azimuth = np.radians(np.linspace(-40, 40, columns))
    e, a = np.meshgrid(elevation, azimuth, indexing="ij")
    rays = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1).reshape(-1, 3)
    reach = surface(rays)
    kept = np.isfinite(reach)
    return np.column_stack([rays[kept] * reach[kept, None], np.zeros(kept.sum())]).astype(np.float32)


def wall(distance_m: float) -> Callable[[F64], F64]:
    """A plane across the view."""
    return lambda rays: distance_m / np.maximum(rays[:, 0], 1e-9)


def write_frame(root: KittiFolder, frame: str, scan: F32, calibration: Calibration) -> None:
    """Image, calibration and scan of a frame."""
    for path in (root.image(frame), root.velodyne(frame)):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root.image(frame)), np.full((*SHAPE, 3), 90, np.uint8))
    write_calibration(root.calibration(frame), calibration)
    scan.tofile(root.velodyne(frame))
