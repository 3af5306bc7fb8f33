"""Where the files of a KITTI folder are, and which frames it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError

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
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read the split: {error.strerror}", path) from error
    except UnicodeDecodeError as error:
        raise DataError("expected frame ids as text, found bytes that are not UTF-8", path) from error
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        word = line.strip()
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
    """Read an image as H×W×3 RGB.

    Raises:
        DataError: missing, empty or no image.
    """
    if not Path(path).is_file():  # OpenCV would print a line of its own
        raise DataError("no such image", path)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DataError("expected a PNG or JPEG image, found a file that does not decode", path)
    return np.asarray(image, dtype=np.uint8)


def read_stored_depth(path: str | Path) -> NDArray[np.uint16]:
    """Read a KITTI depth PNG as H×W uint16: metres × 256, 0 = none.

    Raises:
        DataError: missing, not a PNG, or not one 16-bit channel.
    """
    if not Path(path).is_file():
        raise DataError("no such depth map", path)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise DataError("expected a 16-bit depth PNG, found a file that does not decode", path)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise DataError(f"expected one 16-bit channel, found {stored.dtype} of shape {stored.shape}", path)
    return np.asarray(stored, dtype=np.uint16)


def read_depth(path: str | Path) -> NDArray[np.float32]:
    """Read a KITTI depth PNG as H×W float32 metres, 0 = none.

    Raises:
        DataError: as `read_stored_depth`.
    """
    return read_stored_depth(path).astype(np.float32) / np.float32(256)


def read_velodyne(path: str | Path) -> NDArray[np.float32]:
    """Read a scan as N×4 float32: x ahead, y left, z up (metres), reflectance.

    Raises:
        DataError: missing, empty, not a multiple of 16 bytes, or not finite.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the scan: {error.strerror}", path) from error
    if not raw or len(raw) % 16:
        raise DataError(f"expected a whole number of 16-byte points, found {len(raw)} bytes", path)
    points = np.frombuffer(raw, dtype="<f4").reshape(-1, 4)
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise DataError(f"expected finite coordinates, found {points[bad].tolist()} at point {bad}", path)
    return points
