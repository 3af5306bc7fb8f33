"""How far off completed depth is, on returns that the completion did not see."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple
from zlib import crc32

import numpy as np

from monokd.depth.completion import dense_depth
from monokd.depth.projection import project_scan
from monokd.errors import DataError
from monokd.kitti.boxes3d import box_coordinates
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import FrameSource, read_velodyne
from monokd.kitti.images import read_image
from monokd.kitti.labels import read_labels
from monokd.kitti.objects import Objects
from monokd.progress import map_frames
from monokd.typing import Bools, Bytes, Floats, Floats32

Method = Callable[[Floats32, Calibration, Bytes], Floats32]
SHARE = 0.2  # of the pixels, whose returns are held out
MARGIN_M = 0.1  # around a labelled box, whose returns count as the object's
BANDS_M = ((0, 10), (10, 20), (20, 40), (40, 60), (60, 256))


class HeldOut(NamedTuple):
    """A scan without some returns, and those returns."""

    scan: Floats32  # N×4, the rest of the scan in its order
    truth_m: Floats32  # H×W, the nearest removed return of every held-out pixel, 0 elsewhere
    top: int  # the image row of the highest return of the whole scan


def hold_out(
    scan: Floats32, calibration: Calibration, shape: tuple[int, int], generator: np.random.Generator
) -> HeldOut:
    """Remove every return of a random `SHARE` of the pixels."""
    sparse = project_scan(scan, calibration, shape, rings=False)
    held = generator.random(shape) < SHARE
    removed = (sparse.pixels >= 0) & held.ravel()[sparse.pixels]
    truth_m = np.where(held, sparse.depth_m, np.float32(0))
    return HeldOut(scan[~removed], truth_m, int(np.argmax((sparse.depth_m > 0).any(axis=1))))


def on_objects(truth_m: Floats32, calibration: Calibration, objects: Objects) -> Bools:
    """Find the pixels whose returns lie in the 3D box of a labelled object (DontCare aside), H×W."""
    rows, columns = np.nonzero(truth_m)
    pixels = np.stack([columns, rows], axis=1).astype(np.float64) + 0.5
    z_m = truth_m[rows, columns].astype(np.float64) - calibration.P2[2, 3]
    points = calibration.unproject(pixels, z_m)
    inside = np.zeros(len(points), np.bool_)
    boxes = objects.select(np.flatnonzero([name != "DontCare" for name in objects.names]))
    for size_m, bottom_m, angle_rad in zip(boxes.sizes_m, boxes.locations_m, boxes.rotation_y_rad, strict=True):
        along, y, across = box_coordinates(points, bottom_m, angle_rad).T
        height_m, width_m, length_m = size_m + 2 * MARGIN_M
        at_height = (y < MARGIN_M) & (y > MARGIN_M - height_m)
        inside |= at_height & (np.abs(along) < length_m / 2) & (np.abs(across) < width_m / 2)
    mask = np.zeros(truth_m.shape, np.bool_)
    mask[rows[inside], columns[inside]] = True
    return mask


def measure_folder(
    source: FrameSource, frames: Sequence[str], *, seed: int, workers: int, method: Method = dense_depth
) -> dict[str, object]:
    """Measure errors of `method` on held-out returns, each number the mean over the frames that have such returns.

    `filled` is the share of pixels with depth from the highest return's row down; numbers of errors are None where
    nothing was measured.

    Raises:
        DataError: a frame is broken.
    """
    rows = map_frames(partial(_measure_frame, source, seed, method), frames, "held-out", workers)
    table = np.array([errors for _, errors in rows])  # frames × groups × (returns, rmse, mae)
    return {
        "frames": len(frames),
        "filled": float(np.mean([filled for filled, _ in rows])),
        **_summary(table[:, 0]),
        "objects": _summary(table[:, 1]),
        "bands": {f"{low}_{high}_m": _summary(table[:, 2 + i]) for i, (low, high) in enumerate(BANDS_M)},
    }


def _measure_frame(
    source: FrameSource, seed: int, method: Method, frame: str
) -> tuple[float, list[tuple[float, float, float]]]:
    calibration = source.read_calibration(frame)
    image = read_image(source.image(frame))
    shape = image.shape[0], image.shape[1]
    try:
        generator = np.random.default_rng([seed, crc32(frame.encode())])
        held = hold_out(read_velodyne(source.velodyne(frame)), calibration, shape, generator)
        dense_m = method(held.scan, calibration, image)
    except DataError as error:
        raise error if error.path else DataError(error.reason, source.velodyne(frame)) from error
    measured = (held.truth_m > 0) & (dense_m > 0)
    objects = np.zeros(shape, np.bool_)
    label = source.label(frame)
    if label is not None and label.exists():
        objects = on_objects(held.truth_m, calibration, read_labels(label))
    groups = [measured, measured & objects]
    groups += [measured & (held.truth_m >= low) & (held.truth_m < high) for low, high in BANDS_M]
    errors = []
    for group in groups:
        off_m = (dense_m - held.truth_m)[group].astype(np.float64)
        rmse_mae = (np.sqrt(np.mean(off_m**2)), np.mean(np.abs(off_m))) if len(off_m) else (np.nan, np.nan)
        errors.append((len(off_m), *rmse_mae))
    return float((dense_m[held.top :] > 0).mean()), errors


def _summary(rows: Floats) -> dict[str, object]:
    seen = rows[rows[:, 0] > 0]
    if not len(seen):
        return {"returns": 0, "rmse_m": None, "mae_m": None}
    returns, rmse_m, mae_m = seen.T
    return {"returns": int(returns.sum()), "rmse_m": float(rmse_m.mean()), "mae_m": float(mae_m.mean())}
