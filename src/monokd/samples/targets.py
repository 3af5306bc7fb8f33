"""Training targets of one frame from its labels, camera, crop and dense depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled
from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects
from monokd.samples.affine import Affine, transform_points

Array = NDArray[np.float64]
CLASSES = ("Pedestrian", "Car", "Cyclist")
DRAWN_AS_CAR = ("Van", "Truck", "DontCare")
MEAN_SIZES_M = np.array(
    [
        [1.76255119, 0.66068622, 0.84422524],
        [1.52563191462, 1.62856739989, 3.88311640418],
        [1.73698127, 0.59706367, 1.76282397],
    ]
)
MAX_OBJECTS = 50
HEADING_BINS = 12
STRIDE = 4
CELLS = 7
DEPTH_MARGIN_M = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameTargets:
    """Targets of one frame; the fields of `monokd.samples.batch.Targets` without the batch dimension."""

    heatmap: NDArray[np.float32]
    indices: NDArray[np.int64]
    mask_2d: NDArray[np.bool_]
    class_ids: NDArray[np.int64]
    boxes_px: NDArray[np.float32]
    head_boxes_px: NDArray[np.float32]
    size_2d: NDArray[np.float32]
    offset_2d: NDArray[np.float32]
    offset_3d: NDArray[np.float32]
    size_3d: NDArray[np.float32]
    heading_bin: NDArray[np.int64]
    heading_residual_rad: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    vis_depth_m: NDArray[np.float32]
    att_depth_m: NDArray[np.float32]
    depth_mask: NDArray[np.bool_]
    object_count: NDArray[np.int64]


def frame_targets(
    objects: Objects,
    calibration: Calibration,
    affine: Affine,
    depth_m: NDArray[np.float32] | None,
    *,
    classes: tuple[str, ...] = CLASSES,
    max_objects: int = MAX_OBJECTS,
) -> FrameTargets:
    """Everything that a frame's labels ask of the network (DID-M3D, Peng et al. 2022, section 4.1).

    Slot i belongs to label line i, so filtered lines leave holes; lines past `max_objects` are ignored.

    Args:
        objects: labels, mirrored with the frame if the frame is.
        calibration: the camera, mirrored likewise.
        affine: image to input.
        depth_m: the warped dense depth, H×W of the input, metres; None leaves `depth_mask` empty.
        classes: names that train; Van, Truck and DontCare, if listed, only draw peaks on Car's heatmap.
        max_objects: slots, K.
    """
    height, width = affine.height_px // STRIDE, affine.width_px // STRIDE
    targets = _empty(max_objects, height, width)
    targets.object_count[...] = min(len(objects), max_objects)
    depth_map = None if depth_m is None else area_average(depth_m)
    boxes = _transformed_boxes(objects, affine)
    centres = project_centres(objects, calibration)
    centres = transform_points(affine.forward, centres) / STRIDE
    angles = observation_angles(objects, calibration)
    for slot in np.flatnonzero(trainable(objects)[:max_objects]).tolist():
        name = objects.names[slot]
        if name not in classes or name not in (*CLASSES, *DRAWN_AS_CAR):
            continue
        targets.boxes_px[slot] = targets.head_boxes_px[slot] = boxes[slot]
        # Truncation, not floor: a centre less than a cell left of or above the map keeps its peak on the border.
        peak = centres[slot].astype(np.int64)
        if not (0 <= peak[0] < width and 0 <= peak[1] < height):
            continue
        box = boxes[slot] / np.float32(STRIDE)
        channel = CLASSES.index("Car" if name in DRAWN_AS_CAR else name)
        draw_gaussian(targets.heatmap[channel], peak, gaussian_radius(float(box[2] - box[0]), float(box[3] - box[1])))
        if name in CLASSES:
            _fill(targets, slot, objects, channel, box, centres[slot], peak, float(angles[slot]), depth_map)
    return targets


def trainable(objects: Objects) -> NDArray[np.bool_]:
    """Objects of KITTI's three levels by 2D height + 1, truncation and occlusion, at least 2 m ahead."""
    top, bottom = (objects.boxes_px[:, i].astype(np.float32).astype(np.float64) for i in (1, 3))
    height, truncation, occlusion = bottom - top + 1, objects.truncation, objects.occlusion
    easy = (height >= 40) & (truncation <= 0.15) & (occlusion <= 0)
    moderate = (height >= 25) & (truncation <= 0.30) & (occlusion <= 1)
    hard = (height >= 25) & (truncation <= 0.50) & (occlusion <= 2)
    return (easy | moderate | hard) & (objects.locations_m[:, 2] >= 2)


def project_centres(objects: Objects, calibration: Calibration) -> Array:
    """Image positions of the 3D centres, N×2 pixels; as published divided by z alone, P2[2, 3] ignored."""
    centres = objects.locations_m.copy()
    centres[:, 1] -= objects.sizes_m[:, 0] / 2
    z = np.where(np.abs(centres[:, 2]) < 1e-9, 1e-9, centres[:, 2])
    image = centres @ calibration.P2[:2, :3].T + calibration.P2[:2, 3]
    return np.asarray(image / z[:, None], dtype=np.float64)


def observation_angles(objects: Objects, calibration: Calibration) -> Array:
    """Alpha of each object from its heading and the ray through its 2D box's centre, N radians."""
    boxes = objects.boxes_px.astype(np.float32)
    middle = ((boxes[:, 0] + boxes[:, 2]) / np.float32(2)).astype(np.float64)
    ray = np.arctan2(middle - calibration.P2[0, 2], calibration.P2[0, 0])
    return np.asarray(objects.rotation_y_rad - ray, dtype=np.float64)


def heading_class(angle_rad: float) -> tuple[int, float]:
    """Bin (12, centred at multiples of 30°) and residual of an angle."""
    width = 2 * math.pi / HEADING_BINS
    shifted = (angle_rad % (2 * math.pi) + width / 2) % (2 * math.pi)
    number = min(int(shifted / width), HEADING_BINS - 1)
    return number, shifted - (number * width + width / 2)


def gaussian_radius(width: float, height: float, min_overlap: float = 0.7) -> int:
    """Radius in cells within which a shifted box still overlaps, as CornerNet's code has it (Law and Deng 2018).

    Args:
        width: of the box, cells.
        height: of the box, cells.
        min_overlap: intersection over union to keep.
    """
    both, area = width + height, width * height
    inner = (both + math.sqrt(max(0.0, both**2 - 4 * area * (1 - min_overlap) / (1 + min_overlap)))) / 2
    outer = (2 * both + math.sqrt(max(0.0, 4 * both**2 - 16 * (1 - min_overlap) * area))) / 2
    slope = 2 * min_overlap * both
    around = (-slope + math.sqrt(slope**2 + 16 * min_overlap * (1 - min_overlap) * area)) / 2
    return max(0, int(min(inner, outer, around)))


def draw_gaussian(heatmap: NDArray[np.float32], peak: NDArray[np.int64], radius: int) -> None:
    """Raise an h×w heatmap in place to a Gaussian of σ = (2·radius + 1)/6 within `radius` of the cell `peak` (x, y)."""
    x, y = int(peak[0]), int(peak[1])
    sigma = (2 * radius + 1) / 6
    left, right = max(0, x - radius), min(heatmap.shape[1], x + radius + 1)
    top, bottom = max(0, y - radius), min(heatmap.shape[0], y + radius + 1)
    across, down = np.arange(left, right) - x, np.arange(top, bottom) - y
    bump = np.exp(-(across[None] ** 2 + down[:, None] ** 2) / (2 * sigma * sigma))
    window = heatmap[top:bottom, left:right]
    np.maximum(window, bump.astype(np.float32), out=window)


@compiled
def area_average(depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of every block of 4×4 cells: H×W float32 to H/4×W/4."""
    rows, columns = depth_m.shape[0] // STRIDE, depth_m.shape[1] // STRIDE
    out = np.empty((rows, columns), dtype=np.float32)
    for y in range(rows):
        for x in range(columns):
            total = np.float32(0)
            for i in range(STRIDE):
                for j in range(STRIDE):
                    total += depth_m[y * STRIDE + i, x * STRIDE + j]
            out[y, x] = total / np.float32(STRIDE * STRIDE)
    return out


@compiled
def roi_align_map(values: NDArray[np.floating], box: Array, cells: int) -> NDArray[np.float32]:
    """RoIAlign (He et al. 2017) of one h×w map: aligned=False, adaptive sampling.

    Args:
        values: h×w map.
        box: left, top, right, bottom in cells of the map.
        cells: output size.

    Returns:
        cells×cells float32.
    """
    rows, columns = values.shape
    width, height = max(box[2] - box[0], 1.0), max(box[3] - box[1], 1.0)
    across, down = int(np.ceil(width / cells)), int(np.ceil(height / cells))
    out = np.zeros((cells, cells), dtype=np.float32)
    for i in range(cells):
        for j in range(cells):
            total = 0.0
            for p in range(down):
                y = box[1] + (i + (p + 0.5) / down) * height / cells
                for q in range(across):
                    x = box[0] + (j + (q + 0.5) / across) * width / cells
                    if y < -1 or y > rows or x < -1 or x > columns:
                        continue
                    v, u = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
                    y0, x0 = int(v), int(u)
                    y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
                    dy, dx = v - y0, u - x0
                    total += (values[y0, x0] * (1 - dx) + values[y0, x1] * dx) * (1 - dy)
                    total += (values[y1, x0] * (1 - dx) + values[y1, x1] * dx) * dy
            out[i, j] = total / (across * down)
    return out


def _empty(slots: int, height: int, width: int) -> FrameTargets:
    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros((slots, *shape), dtype=np.float32)

    def whole() -> NDArray[np.int64]:
        return np.zeros(slots, dtype=np.int64)

    return FrameTargets(
        heatmap=np.zeros((len(CLASSES), height, width), dtype=np.float32),
        indices=whole(),
        mask_2d=np.zeros(slots, dtype=np.bool_),
        class_ids=whole(),
        boxes_px=zeros(4),
        head_boxes_px=zeros(4),
        size_2d=zeros(2),
        offset_2d=zeros(2),
        offset_3d=zeros(2),
        size_3d=zeros(3),
        heading_bin=whole(),
        heading_residual_rad=zeros(),
        depth_m=zeros(),
        vis_depth_m=zeros(CELLS, CELLS),
        att_depth_m=zeros(CELLS, CELLS),
        depth_mask=np.zeros((slots, CELLS, CELLS), dtype=np.bool_),
        object_count=np.zeros((), dtype=np.int64),
    )


def _transformed_boxes(objects: Objects, affine: Affine) -> NDArray[np.float32]:
    corners = transform_points(affine.forward, objects.boxes_px.reshape(-1, 2))
    return corners.reshape(-1, 4).astype(np.float32)


def _fill(
    targets: FrameTargets,
    slot: int,
    objects: Objects,
    class_id: int,
    box: NDArray[np.float32],
    centre: Array,
    peak: NDArray[np.int64],
    angle_rad: float,
    depth_map: NDArray[np.float32] | None,
) -> None:
    """Write one object's slot; `box`, `centre` and `peak` in feature pixels."""
    z = np.float32(objects.locations_m[slot, 2])
    targets.indices[slot] = peak[1] * targets.heatmap.shape[2] + peak[0]
    targets.mask_2d[slot] = objects.truncation[slot] <= 0.5 and objects.occlusion[slot] <= 2
    targets.class_ids[slot] = class_id
    targets.size_2d[slot] = box[2:] - box[:2]
    targets.offset_2d[slot] = (box[:2] + box[2:]) / np.float32(2) - peak
    targets.offset_3d[slot] = centre - peak
    targets.size_3d[slot] = objects.sizes_m[slot].astype(np.float32) - MEAN_SIZES_M[class_id]
    targets.heading_bin[slot], targets.heading_residual_rad[slot] = heading_class(angle_rad)
    targets.depth_m[slot] = z
    if depth_map is not None:
        cells = roi_align_map(depth_map, box.astype(np.float64), CELLS)
        kept = (np.abs(cells - z) < DEPTH_MARGIN_M) & (cells > 0)
        targets.vis_depth_m[slot] = np.where(kept, cells, 0)
        targets.depth_mask[slot] = kept
    targets.att_depth_m[slot] = z - targets.vis_depth_m[slot]
