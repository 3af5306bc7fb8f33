"""Training targets of one frame from its labels, camera, crop and dense depth."""

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from monokd.classes import CLASSES, HARD
from monokd.compiled import compiled
from monokd.kitti.calibration import Calibration
from monokd.kitti.objects import Objects
from monokd.samples.affine import Affine, transform_points
from monokd.samples.batch import Targets
from monokd.samples.constants import CELLS, HEADING_BINS, MAX_OBJECTS, MEAN_SIZES_M, STRIDE
from monokd.samples.masks import gaussian_radius
from monokd.typing import Bools, Floats, Floats32, Ints

DEPTH_MARGIN_M = 3.0


def frame_targets(
    objects: Objects,
    calibration: Calibration,
    affine: Affine,
    depth_m: Floats32 | None,
    *,
    classes: tuple[str, ...] = CLASSES,
    axis_headings: bool = False,
) -> Targets:
    """Compute what a frame's labels ask of the network (DID-M3D, Peng et al. 2022, section 4.1).

    Label lines past `MAX_OBJECTS` are ignored; those of `classes` train. Boxes of a detector, which have scores, weigh
    as much as their score, and their headings may be off by half a turn (`axis_headings`); its DontCare lines are boxes
    that are too uncertain: what is in them is unknown, not background. Objects and calibration are mirrored if the
    frame is. `depth_m` is the warped dense depth, h×w; None leaves `vis_depth_m` empty.
    """
    height, width = affine.height_px // STRIDE, affine.width_px // STRIDE
    drawn = np.flatnonzero((trainable(objects) & np.isin(objects.names, classes))[:MAX_OBJECTS])
    count = min(len(objects), MAX_OBJECTS)
    ignore = _uncertain(objects, affine)
    objects = objects.select(drawn)
    angles_rad = observation_angles(objects, calibration)
    centres = transform_points(affine.forward, project_centres(objects, calibration)) / STRIDE
    # Truncation, not floor: a centre less than a cell left of or above the map keeps its peak on the border.
    peaks = centres.astype(np.int64)
    boxes_px = transform_points(affine.forward, objects.boxes_px.reshape(-1, 2)).reshape(-1, 4).astype(np.float32)
    boxes = boxes_px / np.float32(STRIDE)
    on_map = np.flatnonzero(((peaks >= 0) & (peaks < (width, height))).all(axis=1))
    slots, objects, peaks, boxes = drawn[on_map], objects.select(on_map), peaks[on_map], boxes[on_map]
    class_ids = np.array([CLASSES.index(name) for name in objects.names], dtype=np.int64)
    ignore[peaks[:, 1], peaks[:, 0]] = False
    heading_bin, heading_residual_rad = heading_classes(angles_rad[on_map])
    z = objects.locations_m[:, 2].astype(np.float32)

    def put(values: NDArray[np.generic], at: Ints = slots, dtype: DTypeLike = np.float32) -> Tensor:
        out = np.zeros((MAX_OBJECTS, *values.shape[1:]), dtype=dtype)
        out[at] = values
        return torch.from_numpy(out)

    return Targets(
        heatmap=torch.from_numpy(_heatmap(class_ids, peaks, boxes, height, width)),
        indices=put(peaks[:, 1] * width + peaks[:, 0], dtype=np.int64),
        mask_2d=put(np.ones(len(slots)), dtype=np.bool_),
        class_ids=put(class_ids, dtype=np.int64),
        boxes_px=put(boxes_px, drawn),
        size_2d=put(boxes[:, 2:] - boxes[:, :2]),
        offset_2d=put((boxes[:, :2] + boxes[:, 2:]) / np.float32(2) - peaks),
        offset_3d=put(centres[on_map] - peaks),
        size_3d=put(objects.sizes_m.astype(np.float32) - MEAN_SIZES_M[class_ids]),
        heading_bin=put(heading_bin, dtype=np.int64),
        heading_residual_rad=put(heading_residual_rad),
        depth_m=put(z),
        vis_depth_m=put(_visual_depth(depth_m, boxes, z)),
        object_count=torch.tensor(count),
        weight=put(np.nan_to_num(objects.scores, nan=1.0)),
        axis_only=put(np.isfinite(objects.scores) & axis_headings, dtype=np.bool_),
        ignore=torch.from_numpy(ignore),
    )


def trainable(objects: Objects) -> Bools:
    """Choose objects of KITTI's level hard, which holds the others, by 2D height + 1, and at least 2 m ahead."""
    top, bottom = (objects.boxes_px[:, i].astype(np.float32).astype(np.float64) for i in (1, 3))
    seen = (objects.truncation <= HARD.max_truncation) & (objects.occlusion <= HARD.max_occlusion)
    return seen & (bottom - top + 1 >= HARD.min_height_px) & (objects.locations_m[:, 2] >= 2)


def project_centres(objects: Objects, calibration: Calibration) -> Floats:
    """Project the 3D centres to N×2 pixels; as published divided by z alone, P2[2, 3] ignored."""
    centres = objects.locations_m.copy()
    centres[:, 1] -= objects.sizes_m[:, 0] / 2
    z = np.where(np.abs(centres[:, 2]) < 1e-9, 1e-9, centres[:, 2])
    image = centres @ calibration.P2[:2, :3].T + calibration.P2[:2, 3]
    return np.asarray(image / z[:, None], dtype=np.float64)


def observation_angles(objects: Objects, calibration: Calibration) -> Floats:
    """Compute alpha of each object from its heading and the ray through its 2D box's centre, N radians."""
    boxes = objects.boxes_px.astype(np.float32)
    middle = ((boxes[:, 0] + boxes[:, 2]) / np.float32(2)).astype(np.float64)
    ray = np.arctan2(middle - calibration.P2[0, 2], calibration.P2[0, 0])
    return np.asarray(objects.rotation_y_rad - ray, dtype=np.float64)


def heading_classes(angles_rad: Floats) -> tuple[Ints, Floats]:
    """Split angles into bins (12, centred at multiples of 30°) and residuals."""
    width = 2 * np.pi / HEADING_BINS
    shifted = (angles_rad % (2 * np.pi) + width / 2) % (2 * np.pi)
    number = np.minimum((shifted / width).astype(np.int64), HEADING_BINS - 1)
    return number, shifted - (number * width + width / 2)


def draw_gaussian(heatmap: Floats32, peak: Ints, radius: int) -> None:
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
def area_average(values: Floats32) -> Floats32:
    """Average every block of 4×4 cells: H×W to H/4×W/4."""
    out = np.empty((values.shape[0] // STRIDE, values.shape[1] // STRIDE), dtype=np.float32)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = np.float32(0)
            for i in range(STRIDE):
                for j in range(STRIDE):
                    total += values[y * STRIDE + i, x * STRIDE + j]
            out[y, x] = total / np.float32(STRIDE * STRIDE)
    return out


@compiled
def roi_align_map(values: NDArray[np.floating], box: Floats, cells: int) -> Floats32:
    """Pool one h×w map by RoIAlign (He et al. 2017) with aligned=False and adaptive sampling: cells×cells.

    `box` is left, top, right, bottom in cells of the map.
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


def _heatmap(class_ids: Ints, peaks: Ints, boxes: Floats32, height: int, width: int) -> Floats32:
    """Draw N objects' Gaussians, 3×height×width; peaks (x, y) and boxes in cells."""
    heatmap = np.zeros((len(CLASSES), height, width), dtype=np.float32)
    sizes = torch.from_numpy((boxes[:, 2:] - boxes[:, :2]).astype(np.float64))
    radii = gaussian_radius(sizes[:, 1], sizes[:, 0]).clamp(min=0).to(torch.int64).tolist()
    for class_id, peak, radius in zip(class_ids, peaks, radii, strict=True):
        draw_gaussian(heatmap[class_id], peak, radius)
    return heatmap


def _uncertain(objects: Objects, affine: Affine) -> Bools:
    """Find the cells, h×w, of 2D boxes of a detector's DontCare lines, which have a score unlike those of labels."""
    out = np.zeros((affine.height_px // STRIDE, affine.width_px // STRIDE), dtype=bool)
    uncertain = np.array([name == "DontCare" for name in objects.names], dtype=bool) & ~np.isnan(objects.scores)
    corners = transform_points(affine.forward, objects.boxes_px[uncertain].reshape(-1, 2)) / STRIDE
    for left, top, right, bottom in corners.reshape(-1, 4).clip(0):
        out[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return out


def _visual_depth(depth_m: Floats32 | None, boxes: Floats32, z: Floats32) -> Floats32:
    """Pool the dense depth in N boxes (cells): N×7×7 metres, 0 where it is far from the object's own depth."""
    cells = np.zeros((len(boxes), CELLS, CELLS), dtype=np.float32)
    if depth_m is not None and len(boxes):
        cells[:] = [roi_align_map(depth_m, box.astype(np.float64), CELLS) for box in boxes]
    near = (np.abs(cells - z[:, None, None]) < DEPTH_MARGIN_M) & (cells > 0)
    return np.where(near, cells, np.float32(0))
