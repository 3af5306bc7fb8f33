"""Boxes over an image and seen from above; depth and heat as colour. Pictures are H×W×3 uint8 RGB, always new ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.files import write_bytes
from monokd.kitti import boxes3d
from monokd.kitti.boxes3d import FRONT, project_edges
from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects
from monokd.report.networks import RGB, Style
from monokd.typing import Bytes, Floats, Floats32

RIM: RGB = (16, 18, 22)  # around every line, so that it shows on any background
GROUND, RING, RING_TEXT, POINT, TICK = (18, 22, 28), (70, 78, 90), (190, 198, 208), (84, 94, 108), (235, 235, 235)
RANGE_STEP_M, BEHIND_M, HALF_WIDTH_M = 10.0, 1.0, 18.0
NEAR_M, FAR_M = 2.0, 80.0  # of the colours of depth
LABEL_FROM_M = 0.3  # nearest corner of a box that gets a label, and nearest front that is shaded
COLOUR_BAR_TICKS_M = (2, 5, 10, 20, 40, 80)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SUBPIXEL_BITS = 4


class Layer(NamedTuple):
    """One source of boxes in a picture; `filled` shades the front face (image) or the footprint (from above)."""

    objects: Objects
    style: Style
    filled: bool = False


def draw_boxes_3d(image: Bytes, layers: Sequence[Layer], calibration: Calibration, *, labels: bool = False) -> Bytes:
    """Draw 3D boxes over `image`, far ones first and later layers on top; the shaded face is the front.

    With `labels`, class, score and distance stand above each box where there is room.
    """
    canvas = image.copy()
    for layer in layers:
        objects = placed(layer.objects)
        corners_m = box_corners(objects.select(np.argsort(-objects.locations_m[:, 2], kind="stable")))
        for corners, edges in zip(corners_m, project_edges(corners_m, calibration), strict=True):
            if layer.filled and (corners[:, 2] > LABEL_FROM_M).all():
                _fill(canvas, calibration.project(corners[FRONT])[0], layer.style.rgb, 0.25)
            seen = edges[~np.isnan(edges).any(axis=(1, 2))]
            draw_segments(canvas, seen, layer.style.rgb, dashes=layer.style.dashes)
    for layer in layers if labels else ():
        _write_labels(canvas, placed(layer.objects), layer.style.rgb, calibration)
    return canvas


def draw_birds_eye(
    layers: Sequence[Layer], calibration: Calibration, image_width_px: int, *,
    points_m: Floats | None = None, range_m: float = 70.0, pixels_per_m: float = 20.0,
) -> Bytes:  # fmt: skip
    """Draw boxes up to `range_m` ahead from above: ahead is up; the line out of a box points where it heads.

    The camera with the edges of its view stands at the bottom; N×3 `points_m` in its coordinates become dots.
    """
    height, width = round((range_m + 2 * BEHIND_M) * pixels_per_m), round(2 * HALF_WIDTH_M * pixels_per_m)
    canvas = np.full((height, width, 3), GROUND, dtype=np.uint8)

    def to_pixels(ground_m: Floats) -> Floats:
        origin = np.array([HALF_WIDTH_M * pixels_per_m, height - BEHIND_M * pixels_per_m])
        return np.asarray(ground_m * np.array([pixels_per_m, -pixels_per_m]) + origin)

    if points_m is not None:
        pixels = np.round(to_pixels(points_m[:, [0, 2]])).astype(int)
        columns, rows = pixels[((pixels >= 0) & (pixels < (width - 1, height - 1))).all(axis=1)].T
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            canvas[rows + down, columns + right] = POINT
    for radius_m in np.arange(RANGE_STEP_M, range_m + 0.1, RANGE_STEP_M):
        angles = np.linspace(-np.pi / 2, np.pi / 2, 181)
        ring = to_pixels(radius_m * np.stack([np.sin(angles), np.cos(angles)], axis=1))
        draw_segments(canvas, np.stack([ring[:-1], ring[1:]], axis=1), RING, thickness=1, rim=False)
        # Beside the camera's view near by, at the picture's edge farther out, where few objects stand.
        angle = min(np.deg2rad(56), np.arcsin(min((HALF_WIDTH_M - 2.4) / radius_m, 1.0)))
        _write_range(canvas, radius_m, to_pixels(radius_m * np.array([-np.sin(angle), np.cos(angle)])), pixels_per_m)
    ends = calibration.unproject(np.array([(0.0, 0.0), (image_width_px, 0.0)]), np.full(2, 2 * range_m))[:, [0, 2]]
    rays = to_pixels(np.stack([np.zeros((2, 2)), ends], axis=1))
    draw_segments(canvas, rays, RING, thickness=2, dashes=(4, 6), rim=False)
    thickness = max(round(pixels_per_m / 7), 1)
    for layer in layers:
        rgb, dashes = layer.style.rgb, layer.style.dashes
        for ring in to_pixels(box_corners(placed(layer.objects))[:, :4][:, :, [0, 2]]):  # 4×2, from the front
            if layer.filled:
                _fill(canvas, ring, rgb, 0.3)
            outline, front = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1), ring[:2].mean(axis=0)
            draw_segments(canvas, outline, rgb, thickness=thickness, dashes=dashes)
            heading = np.stack([front, front + 0.35 * (front - ring.mean(axis=0))])
            draw_segments(canvas, heading[None], rgb, thickness=thickness)
    return canvas


def colour_depth(depth_m: Floats32) -> Bytes:
    """Depth (H×W metres, 0 where unknown) as colour, logarithmic: 2 m bright, 80 m dark, unknown grey."""
    share = np.log(np.clip(depth_m, NEAR_M, FAR_M) / NEAR_M) / np.log(FAR_M / NEAR_M)
    coloured = _coloured(1 - share, cv2.COLORMAP_VIRIDIS)
    coloured[depth_m <= 0] = (110, 110, 110)
    return coloured


def add_colour_bar(picture: Bytes) -> Bytes:
    """Put the scale of `colour_depth` under a picture of the same width, with ticks in metres."""
    width = picture.shape[1]
    scale = max(width / 1242, 0.35)
    depth_m = NEAR_M * (FAR_M / NEAR_M) ** np.linspace(0, 1, width, dtype=np.float32)
    bar = colour_depth(np.tile(depth_m, (round(26 * scale), 1)))
    strip = np.full((round(44 * scale), width, 3), 24, dtype=np.uint8)
    for tick_m in COLOUR_BAR_TICKS_M:
        x = np.log(tick_m / NEAR_M) / np.log(FAR_M / NEAR_M) * (width - 1)
        cv2.line(strip, (round(x), 0), (round(x), round(6 * scale)), TICK, 2)
        text_width = cv2.getTextSize(f"{tick_m} m", FONT, scale, 2)[0][0]
        at = int(np.clip(x - text_width / 2, 4, width - text_width - 4)), len(strip) - round(9 * scale)
        cv2.putText(strip, f"{tick_m} m", at, FONT, scale, TICK, 2, cv2.LINE_AA)
    return np.concatenate([picture, bar, strip])


def draw_heat_map(image: Bytes, heat: Floats32) -> Bytes:
    """Lay a heat map (h×w of any size, 0 to 1) over the greyed image: no colour at 0, bright at 1."""
    grown = cv2.resize(np.clip(heat, 0, 1), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) * 0.6
    # The square root lets weak answers show; the scale stays fixed, so that pictures compare.
    share = 0.95 * np.sqrt(grown)[..., None]
    return np.round(grey * (1 - share) + _coloured(np.sqrt(grown), cv2.COLORMAP_INFERNO) * share).astype(np.uint8)


def write_picture(path: Path, picture: Bytes) -> None:
    """Write `picture` in the format of the suffix, .png or .jpg, whole or not at all (OSError on a full disk)."""
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 82, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    # Thin coloured lines blur when colour is stored at half the resolution. Not imwrite: it passes over a full disk.
    options, bgr = jpeg if path.suffix == ".jpg" else [], cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    write_bytes(path, cv2.imencode(path.suffix, bgr, options)[1].tobytes())


def placed(objects: Objects) -> Objects:
    """The objects that have a 3D box (DontCare regions have none)."""
    solid, near = objects.sizes_m > 0, np.abs(objects.locations_m) < 500
    return objects.select(np.flatnonzero((solid & near).all(axis=1)))


def box_corners(objects: Objects) -> Floats:
    """Place the corners of N objects, N×8×3 metres, as `kitti.boxes3d.box_corners`."""
    return boxes3d.box_corners(objects.sizes_m, objects.locations_m, objects.rotation_y_rad)


def draw_segments(
    canvas: Bytes, segments: Floats, rgb: RGB, *, thickness: int = 2, dashes: tuple[int, ...] = (), rim: bool = True
) -> None:
    """Draw N×2×2 pixel segments into `canvas`, dashed by stroke and gap lengths in units of `thickness` / 2."""
    margin = 2 * thickness  # in sixteenths of a pixel from here on
    frame = [-16 * margin, -16 * margin, *(16 * (size + 2 * margin) for size in canvas.shape[1::-1])]
    lines: list[NDArray[np.int32]] = []
    for ends in np.round(np.clip(segments, -1e7, 1e7) * 16).astype(int).tolist():
        inside, *clipped = cv2.clipLine(frame, *ends)  # else a box beside the camera has miles of dashes
        if inside:
            start, end = np.array(clipped, dtype=np.float64)
            lines += _dashed(start, end, [8 * dash * thickness for dash in dashes])
    if rim:
        cv2.polylines(canvas, lines, False, RIM, thickness + 2, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.polylines(canvas, lines, False, rgb, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _dashed(start: Floats, end: Floats, dashes: Sequence[int]) -> list[NDArray[np.int32]]:
    """Cut a segment into its strokes, 2×2 each."""
    length = float(np.hypot(*(end - start)))
    if not dashes or length <= dashes[0]:
        return [np.stack([start, end]).astype(np.int32)]
    turns = np.cumsum([0, *list(dashes) * (int(length // sum(dashes)) + 1)])
    points = np.round(start + np.minimum(turns, length)[:, None] / length * (end - start)).astype(np.int32)
    return [points[i : i + 2] for i in range(0, len(turns) - 1, 2) if turns[i] < length]


def _fill(canvas: Bytes, corners: Floats, rgb: RGB, opacity: float) -> None:
    """Blend a convex polygon, N×2 pixels, into `canvas`."""
    if np.abs(corners).max() > 1e6:
        return
    mask = np.zeros(canvas.shape[:2], dtype=np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners * 16).astype(np.int32), 255, cv2.LINE_AA, SUBPIXEL_BITS)
    rows, columns = np.nonzero(mask)
    share = opacity * mask[rows, columns, None].astype(np.float32) / 255
    canvas[rows, columns] = np.round(canvas[rows, columns] * (1 - share) + np.array(rgb) * share)


def _write_range(canvas: Bytes, radius_m: float, at: Floats, pixels_per_m: float) -> None:
    """The distance of a ring, centred at a pixel."""
    text, size = f"{radius_m:.0f} m", pixels_per_m / 20 * 0.95
    (width, height), _ = cv2.getTextSize(text, FONT, size, 2)
    left, bottom = max(round(at[0] - width / 2), 4), round(at[1] + height / 2)
    cv2.rectangle(canvas, (left - 4, bottom - height - 4), (left + width + 4, bottom + 4), GROUND, cv2.FILLED)
    cv2.putText(canvas, text, (left, bottom), FONT, size, RING_TEXT, max(round(pixels_per_m / 10), 1), cv2.LINE_AA)


def _write_labels(canvas: Bytes, objects: Objects, rgb: RGB, calibration: Calibration) -> None:
    """Write labels, near objects first, leaving out those that would cover another."""
    taken = np.zeros(canvas.shape[:2], dtype=bool)
    scale = max(canvas.shape[1] / 1242 * 0.55, 0.4)
    for index in np.argsort(objects.locations_m[:, 2], kind="stable"):
        distance_m, score = objects.locations_m[index, 2], objects.scores[index]
        if distance_m < LABEL_FROM_M + objects.sizes_m[index].max():
            continue
        text = f"{objects.names[index]}{'' if np.isnan(score) else f' {score:.2f}'} {distance_m:.0f} m"
        corner = calibration.project(box_corners(objects.select(np.array([index])))[0])[0].min(axis=0)
        (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
        left = int(np.clip(corner[0], 0, max(canvas.shape[1] - width - 6, 0)))
        bottom = int(np.clip(corner[1] - 3, height + below + 4, canvas.shape[0]))
        area = slice(bottom - height - below - 4, bottom), slice(left, left + width + 6)
        if taken[area].any():
            continue
        taken[area], canvas[area] = True, RIM
        cv2.putText(canvas, text, (left + 3, bottom - below - 2), FONT, scale, rgb, 1, cv2.LINE_AA)


def _coloured(share: NDArray[np.floating], colour_map: int) -> Bytes:
    """Colour H×W shares of 1."""
    levels = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, colour_map), cv2.COLOR_BGR2RGB), dtype=np.uint8)
