"""Preflight: what is missing or broken in a KITTI folder, one line a problem."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import typer

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.kitti.frames import KittiFolder, read_split
from monokd.kitti.labels import CLASSES, read_labels
from monokd.kitti.objects import Objects
from monokd.progress import map_frames

HALVES = ("training", "testing")
SUFFIXES = {"image_2": ".png", "calib": ".txt", "label_2": ".txt", "velodyne": ".bin"}
# What a half must hold; scans of the testing half are never read.
NEEDED = {"training": tuple(SUFFIXES), "testing": ("image_2", "calib")}
OFFICIAL = {"training": 7481, "testing": 7518}
POINT_BYTES = 16
SAMPLED_POINTS = 1024
MAX_RANGE_M = 500.0


def check_command(root: Path) -> None:
    """Print one line a problem, then a verdict.

    Raises:
        DataError: no such folder.
        typer.Exit: status 1, there are problems.
    """
    if not root.is_dir():
        raise DataError("expected a folder in KITTI's layout, found no such folder", root)
    problems: list[str] = []
    counts = dict.fromkeys(HALVES, 0)
    for half in HALVES:
        if (root / half).is_dir():
            counts[half], found = check_half(root, half)
            problems += found
    if not any((root / half).is_dir() for half in HALVES):
        problems.append(f"{root}: expected a folder training or testing, found neither")
    problems += check_lists(root)
    for problem in problems:
        typer.echo(problem)
    typer.echo(_verdict(counts, len(problems)))
    if problems:
        raise typer.Exit(1)


def check_half(root: Path, half: str) -> tuple[int, list[str]]:
    """The count of frames of a half that have any file, and its problems, frame by frame."""
    present = {kind: _ids(root / half / kind, suffix) for kind, suffix in SUFFIXES.items()}
    needed = [kind for kind in NEEDED[half] if present[kind]]
    problems = [
        f"{root / half / kind}: expected {SUFFIXES[kind]} files, found none"
        for kind in NEEDED[half]
        if not present[kind]
    ]
    frames = sorted(set().union(*(present[kind] for kind in NEEDED[half])))
    for frame in frames:
        problems += [
            f"{root / half / kind / frame}{SUFFIXES[kind]}: missing" for kind in needed if frame not in present[kind]
        ]
    of_frames = map_frames(partial(check_frame, KittiFolder(root, half)), frames, f"checking {half}", workers=1)
    return len(frames), problems + [problem for found in of_frames for problem in found]


def check_frame(folder: KittiFolder, frame: str) -> list[str]:
    """Problems inside the files of a frame; files that do not exist are left to `check_half`."""
    problems: list[str] = []
    size = calibration = objects = None
    try:
        if folder.image(frame).is_file():
            size = read_png_size(folder.image(frame))
    except DataError as error:
        problems.append(str(error))
    try:
        if folder.calibration(frame).is_file():
            calibration = read_calibration(folder.calibration(frame))
    except DataError as error:
        problems.append(str(error))
    try:
        if folder.half == "training" and folder.label(frame).is_file():
            objects = read_labels(folder.label(frame))
    except DataError as error:
        problems.append(str(error))
    if size is not None and calibration is not None:
        problems += [f"{folder.calibration(frame)}: {reason}" for reason in _camera_problems(calibration, *size)]
    if objects is not None:
        problems += [f"{folder.label(frame)}: {reason}" for reason in _label_problems(objects, size, calibration)]
    if folder.velodyne(frame).is_file():
        problems += [f"{folder.velodyne(frame)}: {reason}" for reason in _scan_problems(folder.velodyne(frame))]
    return problems


def read_png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG from its header; its end is looked at too, so that half a file is found.

    Raises:
        DataError: unreadable, no PNG, cut short, or not 8-bit RGB.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(26)
            stream.seek(-min(12, len(head)), 2)
            tail = stream.read()
    except OSError as error:
        raise DataError(f"cannot read the image: {error.strerror}", path) from error
    if len(head) < 26 or head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise DataError("expected a PNG image, found something else", path)
    if tail[4:8] != b"IEND":
        raise DataError("expected a whole PNG image, found one that is cut short", path)
    if (head[24], head[25]) != (8, 2):
        raise DataError(f"expected 8-bit RGB, found {head[24]} bits of PNG colour type {head[25]}", path)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def check_lists(root: Path) -> Iterator[str]:
    """Problems of ROOT/ImageSets: broken lists, and listed frames without an image."""
    for path in sorted((root / "ImageSets").glob("*.txt")):
        half = "testing" if path.stem == "test" else "training"
        try:
            listed = read_split(path)
        except DataError as error:
            yield str(error)
            continue
        present = _ids(root / half / "image_2", ".png")
        absent = [frame for frame in listed if frame not in present]
        if absent:
            yield f"{path}: {len(absent)} of {len(listed)} frames have no image in {half}, first {absent[0]}"


def _ids(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")}


def _camera_problems(calibration: Calibration, width_px: int, height_px: int) -> Iterator[str]:
    """A camera that cannot have taken an image of this size, as after resizing the images alone."""
    fx, fy, cx, cy = (calibration.P2[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if abs(fx / fy - 1) > 0.05:
        yield f"P2: expected square pixels, found focal lengths {fx:.1f} and {fy:.1f}"
    if not (0.25 < cx / width_px < 0.75 and 0 < cy / height_px < 1):
        yield f"P2: the principal point {cx:.1f}, {cy:.1f} is not near the middle of a {width_px}×{height_px} image"


def _label_problems(objects: Objects, size: tuple[int, int] | None, calibration: Calibration | None) -> Iterator[str]:
    known = {name.lower() for name in CLASSES}
    boxes = objects.boxes_px
    for line, name in enumerate(objects.names, start=1):
        left, top, right, bottom = boxes[line - 1]
        if name.lower() not in known:
            yield f"line {line}: {name!r} is no class of KITTI"
        if right < left or bottom < top:
            yield f"line {line}: expected a box left, top, right, bottom, found {left} {top} {right} {bottom}"
        elif size is not None and (left < -1 or top < -1 or right > size[0] + 1 or bottom > size[1] + 1):
            yield f"line {line}: the box {left} {top} {right} {bottom} leaves the {size[0]}×{size[1]} image"
    if calibration is not None and _all_miss(objects, calibration):
        yield "the 3D positions project outside their 2D boxes: labels and calibration of different frames?"


def _all_miss(objects: Objects, calibration: Calibration) -> bool:
    """Whether three or more whole objects stand in the frame and every one's 3D centre misses its 2D box."""
    whole = objects.select((objects.truncation == 0) & (objects.locations_m[:, 2] > 2))
    if len(whole) < 3:
        return False
    pixels, _ = calibration.project(whole.locations_m - whole.sizes_m[:, :1] * np.array([[0.0, 0.5, 0.0]]))
    low, high = whole.boxes_px[:, :2], whole.boxes_px[:, 2:]
    margin = 0.5 * (high - low)
    return bool(((pixels < low - margin) | (pixels > high + margin)).any(axis=1).all())


def _scan_problems(path: Path) -> Iterator[str]:
    """The size, and the first points; reading every point of every scan would take minutes."""
    size = path.stat().st_size
    if size == 0 or size % POINT_BYTES:
        yield f"expected a whole number of {POINT_BYTES}-byte points, found {size} bytes"
        return
    points = np.fromfile(path, dtype="<f4", count=4 * SAMPLED_POINTS).reshape(-1, 4)
    if not (np.isfinite(points).all() and np.abs(points[:, :3]).max() < MAX_RANGE_M):
        yield f"expected points within {MAX_RANGE_M:.0f} m, found other numbers"


def _verdict(counts: dict[str, int], problems: int) -> str:
    frames = (
        " and ".join(f"{count} {half} frame{'s' * (count != 1)}" for half, count in counts.items() if count)
        or "no frames"
    )
    short = [half for half, count in counts.items() if 0 < count < OFFICIAL[half]]
    part = f" (KITTI has {' and '.join(f'{OFFICIAL[half]:,} {half}' for half in short)})" if short else ""
    found = "no problems" if not problems else "1 problem" if problems == 1 else f"{problems} problems"
    return f"{frames}{part}: {found}"
