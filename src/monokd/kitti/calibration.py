"""Calibration files and the camera they describe."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from monokd.errors import DataError
from monokd.files import read_bytes, write_text
from monokd.typing import Floats

SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
FOCAL_LIMITS_PX = 50.0, 50_000.0
LARGEST = 100_000.0  # of any number, pixels × metres in P2's last column included


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The left colour camera of one frame and the scanner's pose in front of it."""

    P2: Floats  # 3×4 projection of rectified camera coordinates (x right, y down, z ahead, metres) to pixels
    R0_rect: Floats  # 3×3 rotation to rectified coordinates
    Tr_velo_to_cam: Floats  # 3×4 rigid motion from the scanner (x ahead, y left, z up) to the camera

    def velodyne_to_camera(self, points_m: Floats) -> Floats:
        """Move N×3 scanner points to rectified camera coordinates, N×3 metres."""
        rotation = self.R0_rect @ self.Tr_velo_to_cam[:, :3]
        shift = self.R0_rect @ self.Tr_velo_to_cam[:, 3]
        return points_m @ rotation.T + shift

    def project(self, points_m: Floats) -> tuple[Floats, Floats]:
        """Project N×3 camera points to N×2 pixels and N depths along P2's axis (metres, ≤ 0 behind the camera)."""
        image = points_m @ self.P2[:, :3].T + self.P2[:, 3]
        depth_m = image[:, 2]
        safe = np.where(np.abs(depth_m) < 1e-9, 1e-9, depth_m)
        return image[:, :2] / safe[:, None], depth_m

    def unproject(self, pixels: Floats, z_m: Floats) -> Floats:
        """Find the camera points (N×3 metres) on the rays of N×2 `pixels` at camera depth `z_m`.

        `project` inverts it: P2's first two rows are solved for x and y with P2's own third row.
        """
        depth_m = z_m + self.P2[2, 3]
        x = (pixels[:, 0] * depth_m - self.P2[0, 2] * z_m - self.P2[0, 3]) / self.P2[0, 0]
        y = (pixels[:, 1] * depth_m - self.P2[1, 2] * z_m - self.P2[1, 3]) / self.P2[1, 1]
        return np.stack([x, y, z_m], axis=1)

    def flipped(self, width_px: int) -> Self:
        """Give the camera that sees the mirrored image: cu' = W − cu and the sign of tx changed (as DID-M3D)."""
        P2 = self.P2.copy()
        P2[0, 2] = width_px - P2[0, 2]
        P2[0, 3] = -P2[0, 3]
        return replace(self, P2=P2)


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file of the object benchmark; lines that are not needed are ignored.

    Raises:
        DataError: unreadable, a matrix missing or twice, a wrong count of numbers, or numbers that no camera has.
    """
    calibration = Calibration(**read_matrices(path, SHAPES))
    check_camera(calibration, path)
    return calibration


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration file in KITTI's layout, all cameras alike, whole or not at all."""
    rows = {f"P{i}": calibration.P2 for i in range(4)}
    rows |= {"R0_rect": calibration.R0_rect, "Tr_velo_to_cam": calibration.Tr_velo_to_cam}
    rows["Tr_imu_to_velo"] = np.eye(3, 4)
    text = "".join(f"{name}: {' '.join(f'{x:.12e}' for x in rows[name].ravel())}\n" for name in rows)
    write_text(path, text + "\n")


def read_matrices(path: str | Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Floats]:
    """Read the lines `NAME: numbers` of a calibration file that `shapes` names, row by row (DataError)."""
    try:
        lines = read_bytes(path, "calibration").decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise DataError("expected a calibration text file, found bytes that are not ASCII", path) from error
    found: dict[str, Floats] = {}
    for number, line in enumerate(lines, start=1):
        name, colon, rest = line.partition(":")
        name, words = name.strip(), rest.split()
        if not colon or name not in shapes:
            continue
        if name in found:
            raise DataError(f"expected {name} once, found it again", path, number)
        count = math.prod(shapes[name])
        if len(words) != count:
            raise DataError(f"{name}: expected {count} numbers, found {len(words)}", path, number)
        values = np.array([parse_number(word) for word in words])
        fine = np.abs(values) <= LARGEST
        if not fine.all():
            reason = f"expected finite numbers up to {LARGEST:g}, found {words[int(np.argmin(fine))][:40]!r}"
            raise DataError(f"{name}: {reason}", path, number)
        found[name] = values.reshape(shapes[name])
    missing = [name for name in shapes if name not in found]
    if missing:
        raise DataError(f"expected a line '{missing[0]}: …', found none", path)
    return found


def check_camera(calibration: Calibration, path: str | Path) -> None:
    """Refuse a P2 that no pinhole camera has, and rotations that are none (DataError)."""
    P2 = calibration.P2
    low, high = FOCAL_LIMITS_PX
    rest = P2[0, 1], P2[1, 0], *(P2[2, :3] - (0, 0, 1))
    if not all(low < f < high for f in (P2[0, 0], P2[1, 1])) or np.abs(rest).max() > 1e-3:
        found = " ".join(f"{x:g}" for x in P2[:, :3].ravel())
        raise DataError(f"P2: expected focal lengths in pixels and rows f 0 c, 0 f c, 0 0 1, found {found}", path)
    for name, matrix in (("R0_rect", calibration.R0_rect), ("Tr_velo_to_cam", calibration.Tr_velo_to_cam[:, :3])):
        error = np.abs(matrix @ matrix.T - np.eye(3)).max()
        if error > 1e-2 or np.linalg.det(matrix) < 0:
            reason = f"{name}: expected a rotation, found determinant {np.linalg.det(matrix):.3g} and rows that miss"
            raise DataError(f"{reason} orthonormality by {error:.3g}", path)


def parse_number(word: str) -> float:
    """Read a number, NaN where a word is none; Python alone takes "_" for a separator of digits."""
    try:
        return math.nan if "_" in word else float(word)
    except ValueError:
        return math.nan
