"""Where frames come from: the seam of every source, and KITTI's object layout."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import whitespace
from typing import Protocol

import numpy as np

from monokd.errors import DataError
from monokd.files import BINARY_LIMIT_BYTES, read_bytes
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.typing import Floats32

POINT_BYTES = 16
MAX_RANGE_M = 1000.0  # several times what any scanner sees; a point beyond is no point
FRAME_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class FrameSource(Protocol):
    """Frames by id, in whatever folders they lie; an id is fit to be a file's name."""

    def frames(self) -> list[str]:
        """List the ids of all frames, ascending (DataError)."""

    def image(self, frame: str) -> Path:
        """Name the left colour image."""

    def velodyne(self, frame: str) -> Path:
        """Name the scan: float32 x, y, z, reflectance."""

    def label(self, frame: str) -> Path | None:  # noqa: ARG002
        """Name the label text; None where the source has no labels."""
        return None

    def calibration(self, frame: str) -> Path:
        """Name the file that says most about the camera, for messages."""

    def read_calibration(self, frame: str) -> Calibration:
        """Read the camera of a frame (DataError)."""
        return read_calibration(self.calibration(frame))


@dataclass(frozen=True, slots=True)
class KittiFolder:
    """One half, `training` or `testing`, of a folder in the layout of the object benchmark."""

    root: Path  # the folder that holds the halves
    half: str = "training"

    @property
    def folder(self) -> Path:
        """The folder with image_2, calib, label_2, velodyne."""
        return self.root / self.half

    def image(self, frame: str) -> Path:
        """Name the left colour image."""
        return self.folder / "image_2" / f"{frame}.png"

    def calibration(self, frame: str) -> Path:
        """Name the calibration text."""
        return self.folder / "calib" / f"{frame}.txt"

    def read_calibration(self, frame: str) -> Calibration:
        """Read the camera of a frame (DataError)."""
        return read_calibration(self.calibration(frame))

    def label(self, frame: str) -> Path:
        """Name the label text (training half only)."""
        return self.folder / "label_2" / f"{frame}.txt"

    def hidden_label(self, frame: str) -> Path:
        """The true labels of a frame that counts as unlabelled, which only judges and ceilings read."""
        return self.folder / "label_hidden" / f"{frame}.txt"

    def velodyne(self, frame: str) -> Path:
        """Name the scan: float32 x, y, z, reflectance."""
        return self.folder / "velodyne" / f"{frame}.bin"

    def frames(self) -> list[str]:
        """List the ids of all frames that have an image, ascending; none is a DataError."""
        folder = self.folder / "image_2"
        if not folder.is_dir():
            raise DataError("expected a KITTI folder with images, found no such folder", folder)
        ids = sorted(file_ids(folder, ".png"))
        if not ids:
            raise DataError("expected *.png images, found none", folder)
        return ids


def file_ids(folder: Path, suffix: str) -> set[str]:
    """Names without suffix of a folder's files; hidden ones are being written and do not count."""
    return {path.stem for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")}


def read_split(path: str | Path) -> list[str]:
    """Read the frame ids of a split file, one a line, blank lines ignored, in the file's order.

    Raises:
        DataError: unreadable, an id twice or that is no plain name, or none at all.
    """
    try:
        lines = read_bytes(path, "split").decode("utf-8").split("\n")
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


def read_velodyne(path: str | Path) -> Floats32:
    """Read a scan as N×4 float32: x ahead, y left, z up (metres), reflectance.

    Raises:
        DataError: unreadable, cut short, or a point that is not finite or beyond `MAX_RANGE_M`.
    """
    raw = read_bytes(path, "scan", BINARY_LIMIT_BYTES)
    if not raw or len(raw) % POINT_BYTES:
        raise DataError(f"expected a whole number of {POINT_BYTES}-byte points, found {len(raw)} bytes", path)
    points = np.frombuffer(raw, dtype="<f4").reshape(-1, 4)
    fine = np.isfinite(points).all(axis=1) & (np.abs(points[:, :3]) <= MAX_RANGE_M).all(axis=1)
    if not fine.all():
        bad = int(np.argmin(fine))
        reason = f"expected finite coordinates within {MAX_RANGE_M:g} m"
        raise DataError(f"{reason}, found {points[bad].tolist()} at point {bad}", path)
    return points
