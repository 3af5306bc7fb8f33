"""KITTI's raw drives, where they were unpacked: frames without labels.

Layout: DATE/DATE_drive_NNNN_sync/{image_02,velodyne_points,oxts}/data/NUMBER.*, calibration once a date.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monokd.errors import DataError
from monokd.files import read_bytes
from monokd.kitti.calibration import Calibration, check_camera, parse_number, read_matrices
from monokd.kitti.frames import FrameSource, KittiFolder, file_ids
from monokd.typing import Floats

DRIVE = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync", flags=re.ASCII)
FRAME = re.compile(rf"({DRIVE.pattern})_(\d{{10}})", flags=re.ASCII)
EARTH_RADIUS_M = 6_378_137.0


@dataclass(frozen=True, slots=True)
class RawDrives:
    """The synced drives below a folder; a frame's id is its drive and number: 2011_09_26_drive_0001_sync_0000000005."""

    root: Path  # the folder that holds the dates

    def drives(self) -> list[str]:
        """List the drives, ascending."""
        folders = (path for path in self.root.glob("*/*_drive_*_sync") if path.is_dir())
        return sorted(path.name for path in folders if drive_date(path.name) == path.parent.name)

    def frames_of(self, drive: str) -> list[str]:
        """List the frames of a drive that have an image and a scan; scans can be missing."""
        folder = self.root / drive_date(drive) / drive
        both = file_ids(folder / "image_02/data", ".png") & file_ids(folder / "velodyne_points/data", ".bin")
        return sorted(frame for frame in (f"{drive}_{number}" for number in both) if FRAME.fullmatch(frame))

    def frames(self) -> list[str]:
        """List the frames of all drives, ascending; none is a DataError."""
        frames = [frame for drive in self.drives() for frame in self.frames_of(drive)]
        if not frames:
            raise DataError("expected raw drives DATE/DATE_drive_NNNN_sync with frames, found none", self.root)
        return frames

    def image(self, frame: str) -> Path:
        """Name the left colour image."""
        return self._file(frame, "image_02", ".png")

    def velodyne(self, frame: str) -> Path:
        """Name the scan: float32 x, y, z, reflectance."""
        return self._file(frame, "velodyne_points", ".bin")

    def label(self, frame: str) -> Path | None:  # noqa: ARG002
        """Say that raw drives have no labels."""
        return None

    def calibration(self, frame: str) -> Path:
        """Name the date's calibration of the cameras."""
        return self.root / drive_date(drive_of(frame)) / "calib_cam_to_cam.txt"

    def read_calibration(self, frame: str) -> Calibration:
        """Make the object benchmark's calibration of a frame from those of its date.

        P2 is P_rect_02, R0_rect is R_rect_00 (P2 already holds the shift to camera 2), Tr_velo_to_cam is [R | T].
        """
        path = self.calibration(frame)
        cameras = read_matrices(path, {"P_rect_02": (3, 4), "R_rect_00": (3, 3)})
        scanner = read_matrices(path.with_name("calib_velo_to_cam.txt"), {"R": (3, 3), "T": (3, 1)})
        pose = np.hstack([scanner["R"], scanner["T"]])
        calibration = Calibration(cameras["P_rect_02"], cameras["R_rect_00"], pose)
        check_camera(calibration, path)
        return calibration

    def positions_m(self, frames: Sequence[str]) -> Floats:
        """Read where the car was, N×2 metres east and north on a plane that is good for one town (DataError)."""
        degrees = np.empty((len(frames), 2))
        for i, frame in enumerate(frames):
            path = self._file(frame, "oxts", ".txt")
            values = [
                parse_number(word) for word in read_bytes(path, "oxts file").decode("ascii", "replace").split()[:2]
            ]
            if len(values) < 2 or not (abs(values[0]) <= 90 and abs(values[1]) <= 180):
                raise DataError("expected latitude and longitude in degrees, found other content", path, 1)
            degrees[i] = values
        north, east = np.radians(degrees).T * EARTH_RADIUS_M
        return np.stack([east * np.cos(np.radians(49.0)), north], axis=1)

    def _file(self, frame: str, sensor: str, suffix: str) -> Path:
        drive = drive_of(frame)
        return self.root / drive_date(drive) / drive / sensor / "data" / f"{frame[len(drive) + 1 :]}{suffix}"


def frame_source(root: Path) -> FrameSource:
    """Open a folder of raw drives, or else the training half of one in the object layout."""
    return RawDrives(root) if RawDrives(root).drives() else KittiFolder(root)


def drive_of(frame: str) -> str:
    """Name the drive of a raw frame; another id is a DataError."""
    found = FRAME.fullmatch(frame)
    if found is None:
        raise DataError(f"expected a frame such as 2011_09_26_drive_0001_sync_0000000005, found {frame[:80]!r}")
    return found[1]


def drive_date(drive: str) -> str:
    """Name the date of a drive, "" where the name is no drive's."""
    found = DRIVE.fullmatch(drive)
    return found[1] if found else ""


def read_mapping(root: Path) -> dict[str, str]:
    """Read which raw frame every training frame of the object benchmark is, by object frame id.

    The two files are from the object development kit, in ROOT/mapping or ROOT/devkit/mapping: image i is line rand[i]
    (counted from 1) of the mapping. DataError where a file is missing or broken.
    """
    folders = root / "mapping", root / "devkit" / "mapping"
    folder = next((found for found in folders if found.is_dir()), folders[0])
    order, table = folder / "train_rand.txt", folder / "train_mapping.txt"
    words = read_bytes(order, "mapping (train_rand.txt of KITTI's object development kit)").replace(b",", b" ").split()
    raw: list[str] = []
    for number, line in enumerate(read_bytes(table, "mapping").decode("ascii", "replace").splitlines(), start=1):
        if fields := line.split():
            raw.append("_".join(fields[1:]))
            if len(fields) != 3 or not FRAME.fullmatch(raw[-1]):
                raise DataError(f"expected a date, a drive and a frame number, found {line[:80]!r}", table, number)
    if sorted(words, key=lambda word: (len(word), word)) != [b"%d" % i for i in range(1, len(raw) + 1)]:
        raise DataError(f"expected the numbers 1 to {len(raw)}, each once, found other content", order)
    return {f"{i:06d}": raw[int(word) - 1] for i, word in enumerate(words)}
