"""Where the files of a KITTI folder are, and which frames it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import whitespace

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.kitti.images import read_png16, read_rgb
from monokd.reading import BINARY_LIMIT_BYTES, read_bytes

POINT_BYTES = 16
MAX_RANGE_M = 1000.0  # several times what any scanner sees; a point beyond is no point
FRAME_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class KittiFolder:
    """One half, `training` or `testing`, of a folder in KITTI's layout.

    Attributes:
        root: the folder that holds `training` and `testing`.
        half: which of the two.
    """

    root: Path
    half: str = "training"

    @property
    def folder(self) -> Path:
        """The folder with image_2, calib, label_2, velodyne."""
        return self.root / self.half

    def image(self, frame: str) -> Path:
        """The left colour image."""
        return self.folder / "image_2" / f"{frame}.png"

    def calibration(self, frame: str) -> Path:
        """The calibration text."""
        return self.folder / "calib" / f"{frame}.txt"

    def label(self, frame: str) -> Path:
        """The label text (training half only)."""
        return self.folder / "label_2" / f"{frame}.txt"

    def hidden_label(self, frame: str) -> Path:
        """The true labels of a frame that counts as unlabelled, which only judges and ceilings read."""
        return self.folder / "label_hidden" / f"{frame}.txt"

    def velodyne(self, frame: str) -> Path:
        """The scan: float32 x, y, z, reflectance."""
        return self.folder / "velodyne" / f"{frame}.bin"

    def frames(self) -> list[str]:
        """Ids of all frames that have an image, ascending.

        Raises:
            DataError: no image folder, or no image in it.
        """
        folder = self.folder / "image_2"
        if not folder.is_dir():
            raise DataError("expected a KITTI folder with images, found no such folder", folder)
        ids = sorted(path.stem for path in folder.glob("*.png") if not path.name.startswith("."))
        if not ids:
            raise DataError("expected *.png images, found none", folder)
        return ids


def read_split(path: str | Path) -> list[str]:
    """Frame ids of a split file, one a line, blank lines ignored, in the file's order.

    Raises:
        DataError: unreadable, an id twice, an id that is no plain name, or none at all.
    """
    content = read_bytes(path, "split")
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError("expected frame ids as text, found bytes that are not UTF-8", path) from error
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        word = line.strip(whitespace)
        if not word:
            continue
        if not FRAME_ID.fullmatch(word):
            raise DataError(f"expected a frame id of letters, digits, - and _, found {word[:40]!r}", path, number)
        if word in seen:
            raise DataError(f"frame {word} stands in line {seen[word]} already", path, number)
        seen[word] = number
    if not seen:
        raise DataError("expected frame ids, found none", path)
    return list(seen)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a PNG or JPEG as H×W×3 RGB.

    Raises:
        DataError: missing, neither of the two, damaged, or of more pixels than any image has.
    """
    return read_rgb(path)


def read_stored_depth(path: str | Path) -> NDArray[np.uint16]:
    """Read a KITTI depth PNG as H×W uint16: metres × 256, 0 = none.

    Raises:
        DataError: missing, not a PNG, damaged, or not one 16-bit channel.
    """
    return read_png16(path)


def read_depth(path: str | Path) -> NDArray[np.float32]:
    """Read a KITTI depth PNG as H×W float32 metres, 0 = none.

    Raises:
        DataError: as `read_stored_depth`.
    """
    return read_stored_depth(path).astype(np.float32) / np.float32(256)


def read_velodyne(path: str | Path) -> NDArray[np.float32]:
    """Read a scan as N×4 float32: x ahead, y left, z up (metres), reflectance.

    Raises:
        DataError: missing, empty, not a multiple of 16 bytes, not finite, or a coordinate beyond `MAX_RANGE_M`.
    """
    raw = read_bytes(path, "scan", BINARY_LIMIT_BYTES)
    if not raw or len(raw) % POINT_BYTES:
        raise DataError(f"expected a whole number of {POINT_BYTES}-byte points, found {len(raw)} bytes", path)
    points = np.frombuffer(raw, dtype="<f4").reshape(-1, 4)
    check_points(points, path)
    return points


def check_points(points: NDArray[np.float32], path: str | Path) -> None:
    """Refuse N×4 scanner points that are not finite or beyond `MAX_RANGE_M` (DataError)."""
    fine = np.isfinite(points).all(axis=1) & (np.abs(points[:, :3]) <= MAX_RANGE_M).all(axis=1)
    if not fine.all():
        bad = int(np.argmin(fine))
        reason = f"expected finite coordinates within {MAX_RANGE_M:g} m"
        raise DataError(f"{reason}, found {points[bad].tolist()} at point {bad}", path)
