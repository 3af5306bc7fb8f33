"""Calibration files and the camera they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.files import write_text
from monokd.reading import read_bytes

Array = NDArray[np.float64]
SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
FOCAL_LIMITS_PX = 50.0, 50_000.0
LARGEST = 100_000.0  # of any number, pixels × metres in P2's last column included


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
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        name, colon, rest = line.partition(":")
        name = name.strip()
        if not colon or name not in SHAPES:
            continue
        if name in found:
            raise DataError(f"{name} stands in line {lines[name]} already", path, number)
        found[name], lines[name] = _matrix(name, rest.split(), path, number), number
    missing = [name for name in SHAPES if name not in found]
    if missing:
        raise DataError(f"expected a line '{missing[0]}: …', found none", path)
    calibration = Calibration(**found)
    _check_camera(calibration, path, lines)
    return calibration


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration file in KITTI's layout, all cameras alike, whole or not at all."""
    rows = {f"P{i}": calibration.P2 for i in range(4)}
    rows |= {"R0_rect": calibration.R0_rect, "Tr_velo_to_cam": calibration.Tr_velo_to_cam}
    rows["Tr_imu_to_velo"] = np.eye(3, 4)
    text = "".join(f"{name}: {' '.join(f'{x:.12e}' for x in rows[name].ravel())}\n" for name in rows)
    write_text(path, text + "\n")


def _lines(path: str | Path) -> list[str]:
    content = read_bytes(path, "calibration")
    # Python would split lines at more characters than an editor does.
    if not content.isascii() or any(c < 32 and c not in b"\t\r\n" for c in set(content)):
        raise DataError("expected a calibration text file, found bytes that are not ASCII", path)
    return content.decode("ascii").split("\n")


def _matrix(name: str, words: list[str], path: str | Path, line: int) -> Array:
    rows, columns = SHAPES[name]
    if len(words) != rows * columns:
        raise DataError(f"{name}: expected {rows * columns} numbers, found {len(words)}", path, line)
    values = np.array([_number(word) for word in words])
    fine = np.abs(values) <= LARGEST
    if not fine.all():
        found = words[int(np.argmin(fine))][:40]
        raise DataError(f"{name}: expected finite numbers up to {LARGEST:g}, found {found!r}", path, line)
    return values.reshape(rows, columns)


def _number(word: str) -> float:
    """NaN where a word is no number; Python alone takes "_" for a separator of digits."""
    try:
        return math.nan if "_" in word else float(word)
    except ValueError:
        return math.nan


def _check_camera(calibration: Calibration, path: str | Path, lines: dict[str, int]) -> None:
    P2 = calibration.P2
    low, high = FOCAL_LIMITS_PX
    rest = P2[0, 1], P2[1, 0], *(P2[2, :3] - (0, 0, 1))
    if not all(low < f < high for f in (P2[0, 0], P2[1, 1])) or np.abs(rest).max() > 1e-3:
        found = " ".join(f"{x:g}" for x in P2[:, :3].ravel())
        reason = f"P2: expected focal lengths in pixels and rows f 0 c, 0 f c, 0 0 1, found {found}"
        raise DataError(reason, path, lines["P2"])
    for name, matrix in (("R0_rect", calibration.R0_rect), ("Tr_velo_to_cam", calibration.Tr_velo_to_cam[:, :3])):
        error = np.abs(matrix @ matrix.T - np.eye(3)).max()
        if error > 1e-2 or np.linalg.det(matrix) < 0:
            reason = f"{name}: expected a rotation, found determinant {np.linalg.det(matrix):.3g} and rows that miss"
            raise DataError(f"{reason} orthonormality by {error:.3g}", path, lines[name])
