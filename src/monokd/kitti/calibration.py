"""Calibration files and the camera they describe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.files import write_text

Array = NDArray[np.float64]
SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The left colour camera of one frame and the scanner's pose in front of it.

    Attributes:
        P2: 3×4 projection of rectified camera coordinates (x right, y down, z ahead, metres) to pixels.
        R0_rect: 3×3 rotation to rectified coordinates.
        Tr_velo_to_cam: 3×4 rigid motion from the scanner (x ahead, y left, z up) to the camera.
    """

    P2: Array
    R0_rect: Array
    Tr_velo_to_cam: Array

    def velodyne_to_camera(self, points_m: Array) -> Array:
        """Move N×3 scanner points to rectified camera coordinates, N×3 metres."""
        rotation = self.R0_rect @ self.Tr_velo_to_cam[:, :3]
        shift = self.R0_rect @ self.Tr_velo_to_cam[:, 3]
        return points_m @ rotation.T + shift

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Project N×3 camera points to N×2 pixels and N depths along P2's axis (metres, ≤ 0 behind the camera)."""
        image = points_m @ self.P2[:, :3].T + self.P2[:, 3]
        depth_m = image[:, 2]
        safe = np.where(np.abs(depth_m) < 1e-9, 1e-9, depth_m)
        return image[:, :2] / safe[:, None], depth_m

    def unproject(self, pixels: Array, z_m: Array) -> Array:
        """Camera points (N×3 metres) on the rays of N×2 `pixels` at camera depth `z_m`.

        Solves P2's first two rows for x and y with P2's own third row, so that `project` inverts it.
        """
        depth_m = z_m + self.P2[2, 3]
        x = (pixels[:, 0] * depth_m - self.P2[0, 2] * z_m - self.P2[0, 3]) / self.P2[0, 0]
        y = (pixels[:, 1] * depth_m - self.P2[1, 2] * z_m - self.P2[1, 3]) / self.P2[1, 1]
        return np.stack([x, y, z_m], axis=1)

    def flipped(self, width_px: int) -> Calibration:
        """The camera that sees the mirrored image: cu' = W − cu and the sign of tx changed (facts of DID-M3D)."""
        P2 = self.P2.copy()
        P2[0, 2] = width_px - P2[0, 2]
        P2[0, 3] = -P2[0, 3]
        return replace(self, P2=P2)


def read_calibration(path: str | Path) -> Calibration:
    """Read a KITTI object calibration file; lines that are not needed are ignored.

    Raises:
        DataError: unreadable, a missing matrix, a wrong count of numbers, or numbers that no camera has.
    """
    found: dict[str, Array] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, colon, rest = line.partition(":")
        if not colon or name.strip() not in SHAPES:
            continue
        found[name.strip()] = _matrix(name.strip(), rest.split(), path, number)
    missing = [name for name in SHAPES if name not in found]
    if missing:
        raise DataError(f"expected a line '{missing[0]}: …', found none", path)
    calibration = Calibration(**found)
    _check_camera(calibration, path)
    return calibration


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration file in KITTI's layout, all cameras alike, whole or not at all."""
    rows = {f"P{i}": calibration.P2 for i in range(4)}
    rows |= {"R0_rect": calibration.R0_rect, "Tr_velo_to_cam": calibration.Tr_velo_to_cam}
    rows["Tr_imu_to_velo"] = np.eye(3, 4)
    text = "".join(f"{name}: {' '.join(f'{x:.12e}' for x in rows[name].ravel())}\n" for name in rows)
    write_text(path, text + "\n")


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise DataError(f"cannot read the calibration: {error.strerror}", path) from error
    except UnicodeDecodeError as error:
        raise DataError("expected a calibration text file, found bytes that are not ASCII", path) from error


def _matrix(name: str, words: list[str], path: str | Path, line: int) -> Array:
    rows, columns = SHAPES[name]
    if len(words) != rows * columns:
        raise DataError(f"{name}: expected {rows * columns} numbers, found {len(words)}", path, line)
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise DataError(f"{name}: expected numbers, found {' '.join(words)[:60]!r}", path, line) from error
    if not np.isfinite(values).all():
        raise DataError(f"{name}: expected finite numbers, found {values[~np.isfinite(values)][0]}", path, line)
    return values.reshape(rows, columns)


def _check_camera(calibration: Calibration, path: str | Path) -> None:
    focal_px = calibration.P2[0, 0], calibration.P2[1, 1]
    if not all(50 < f < 50_000 for f in focal_px) or abs(calibration.P2[2, 2] - 1) > 1e-3:
        raise DataError(f"P2: expected focal lengths in pixels and a last row 0 0 1 t, found {focal_px}", path)
    for name, matrix in (("R0_rect", calibration.R0_rect), ("Tr_velo_to_cam", calibration.Tr_velo_to_cam[:, :3])):
        error = np.abs(matrix @ matrix.T - np.eye(3)).max()
        if error > 1e-2 or np.linalg.det(matrix) < 0:
            raise DataError(f"{name}: expected a rotation, found rows that miss orthonormality by {error:.3g}", path)
