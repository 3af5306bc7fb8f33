"""What is wrong inside the files of one frame. The limits were set so that no label of KITTI's 7,481 is blamed."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from monokd.classes import KITTI_NAMES
from monokd.depth.png import check_depth
from monokd.errors import DataError
from monokd.files import read_bytes
from monokd.kitti.boxes3d import box_corners, projected_boxes, wrap_angle
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import FrameSource, read_velodyne
from monokd.kitti.images import read_png_header
from monokd.kitti.labels import read_labels
from monokd.kitti.objects import Objects

Size = tuple[int, int]  # width, height in pixels
T = TypeVar("T")
KNOWN = frozenset(name.lower() for name in KITTI_NAMES)
ORTHONORMAL = 1e-3  # a text of seven digits misses by 1e-6
LARGEST_SIDE_M = 60.0  # a tram has 35 m
TRUNCATED = 0.9  # of an object that is hardly in the image, the boxes need not agree
LEAST_DEPTH_M = 2.0  # below which angles say little
LEAST_IOU = 0.15  # of the 2D box and the projected 3D box; 0.25 occurs
LARGEST_ANGLE_ERROR_RAD = 0.5  # alpha against rotation_y and the ray; 0.1 occurs


class Problem(NamedTuple):
    """One thing that is wrong: the group it is listed in, and a line that begins with the file."""

    group: str
    text: str


def check_frame(source: FrameSource, depth: Path | None, frame: str) -> list[Problem]:
    """Find the problems inside the files of a frame; files that do not exist are left to the folder's check."""
    problems: list[Problem] = []

    def attempt(group: str, path: Path, read: Callable[[], T]) -> T | None:
        try:
            return read() if os.path.lexists(path) else None
        except DataError as error:
            problems.append(Problem(group, str(error)))
            return None

    image, camera = source.image(frame), source.calibration(frame)
    scan, label = source.velodyne(frame), source.label(frame)
    size = attempt("images", image, lambda: read_size(image))
    calibration = attempt("calibration", camera, lambda: source.read_calibration(frame))
    if calibration is not None:
        problems += [Problem("calibration", f"{camera}: {text}") for text in camera_problems(calibration, size)]
    if label is not None:
        objects = attempt("labels", label, lambda: read_labels(label))
        if objects is not None and len(objects):
            content = read_bytes(label, "label").split(b"\n")
            lines = [number for number, line in enumerate(content, start=1) if line.strip()]
            found = label_problems(objects, lines, size, calibration)
            problems += [Problem("labels", f"{label}:{text}") for text in found]
    attempt("scans", scan, lambda: check_scan(scan))
    if size is not None and depth is not None:
        stored = depth / f"{frame}.png"
        attempt("depth", stored, lambda: check_depth(stored, size))
    return problems


def read_size(path: Path) -> Size:
    """Read width and height of an image; it must be a whole PNG in RGB, as KITTI's are (DataError)."""
    header = read_png_header(path)
    if header.mode != "RGB":
        raise DataError(f"expected 8-bit RGB, found a PNG of mode {header.mode}", path)
    return header.width_px, header.height_px


def camera_problems(calibration: Calibration, size: Size | None) -> Iterator[str]:
    """Find a camera that cannot have taken an image of this size, as after resizing; and rotations that are none."""
    fx, fy, cx, cy = (calibration.P2[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if abs(fx / fy - 1) > 0.05:
        yield f"P2: expected square pixels, found focal lengths {fx:.1f} and {fy:.1f}"
    if size is not None and not (0.25 < cx / size[0] < 0.75 and 0 < cy / size[1] < 1):
        yield f"P2: the principal point {cx:.1f}, {cy:.1f} is not near the middle of a {size[0]}×{size[1]} image"
    if size is not None and not 0.2 < fx / size[0] < 5:
        yield f"P2: a focal length of {fx:.1f} does not go with an image {size[0]} pixels wide"
    for name, matrix in (("R0_rect", calibration.R0_rect), ("Tr_velo_to_cam", calibration.Tr_velo_to_cam[:, :3])):
        error = np.abs(matrix @ matrix.T - np.eye(3)).max()
        if error > ORTHONORMAL:
            yield f"{name}: expected a rotation, found rows that miss orthonormality by {error:.2g}"
    distance_m = float(np.linalg.norm(calibration.Tr_velo_to_cam[:, 3]))
    if distance_m > 10:
        yield f"Tr_velo_to_cam: the scanner is {distance_m:.1f} m away from the camera (not in metres?)"


def check_scan(path: Path) -> None:
    """Check the points of a scan (DataError)."""
    points = read_velodyne(path)
    if not ((points[:, 3] >= 0) & (points[:, 3] <= 255)).all():
        raise DataError("expected x, y, z, reflectance from 0, found other numbers in the fourth place", path)
    if len(points) > 1 and (points == points[0]).all():
        raise DataError("expected points, found the same one everywhere", path)


def label_problems(
    objects: Objects, lines: Sequence[int], size: Size | None, calibration: Calibration | None
) -> Iterator[str]:
    """Find problems, each after its line's number; without image or calibration, rules that need them are left out."""
    for i, line in enumerate(lines):
        yield from (f"{line}: {reason}" for reason in _line_problems(objects, i, size))
    if calibration is not None:
        yield from (f"{lines[i]}: {reason}" for i, reason in _mismatches(objects, calibration, size))


def _line_problems(objects: Objects, i: int, size: Size | None) -> Iterator[str]:
    name = objects.names[i].lower()
    left, top, right, bottom = objects.boxes_px[i].tolist()
    box = f"{left:g} {top:g} {right:g} {bottom:g}"
    if name not in KNOWN:
        yield f"{objects.names[i]!r} is no class of KITTI"
    if right < left or bottom < top:
        yield f"expected a box left, top, right, bottom, found {box}"
    elif size is not None and (left < -1 or top < -1 or right > size[0] + 1 or bottom > size[1] + 1):
        yield f"the box {box} leaves the {size[0]}×{size[1]} image"
    if name == "dontcare":
        return
    if not (0 <= objects.truncation[i] <= 1 or objects.truncation[i] == -1):
        yield f"truncation: expected 0 to 1, or -1, found {objects.truncation[i]:g}"
    if objects.occlusion[i] not in (-1, 0, 1, 2, 3):
        yield f"occlusion: expected 0, 1, 2, 3, or -1, found {objects.occlusion[i]:g}"
    sizes, (x, _, z) = objects.sizes_m[i].tolist(), objects.locations_m[i].tolist()
    if z <= -1000:  # no 3D box
        return
    if not all(0 < side <= LARGEST_SIDE_M for side in sizes):
        found = " ".join(f"{side:g}" for side in sizes)
        yield f"expected height, width, length up to {LARGEST_SIDE_M:g} m, found {found}"
    alpha, heading = float(objects.alpha_rad[i]), float(objects.rotation_y_rad[i])
    error = abs(wrap_angle(float(alpha - heading + np.arctan2(x, z))))
    if abs(heading) > 3.15 or (abs(alpha) > 3.15 and alpha != -10):
        yield f"expected alpha and rotation_y within ±π, found {alpha:g} and {heading:g}"
    elif alpha != -10 and z > LEAST_DEPTH_M and error > LARGEST_ANGLE_ERROR_RAD:
        yield f"alpha {alpha:g} and rotation_y {heading:g} do not agree, they miss by {error:.2f} rad"


def _mismatches(objects: Objects, calibration: Calibration, size: Size | None) -> Iterator[tuple[int, str]]:
    """Index and problem of objects whose 3D box does not project to their 2D box."""
    placed = (objects.sizes_m > 0).all(axis=1) & (objects.locations_m[:, 2] > -1000)
    index = np.flatnonzero(placed & (objects.truncation <= TRUNCATED))
    objects = objects.select(index)
    projected = projected_boxes(box_corners(objects.sizes_m, objects.locations_m, objects.rotation_y_rad), calibration)
    a, b = np.clip(projected, 0, [*(size or (np.inf, np.inf))] * 2), objects.boxes_px
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    union = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared
    for i in np.flatnonzero(~(shared / np.maximum(union, 1e-9) >= LEAST_IOU)):
        expected, found = (" ".join(f"{side:.0f}" for side in boxes[i]) for boxes in (objects.boxes_px, projected))
        place = "lies behind the camera" if np.isnan(projected[i, 0]) else f"projects to {found}"
        yield int(index[i]), f"the 3D box {place}, its 2D box is {expected} (the calibration of another frame?)"
