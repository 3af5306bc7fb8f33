"""Dense depth: time and error of every phase and variant. `python benchmarks/depth.py KITTI_ROOT [--seeds N]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from monokd.depth.completion import complete, dense_depth
from monokd.depth.folder import densify_folder
from monokd.depth.held_out import Method, measure_folder
from monokd.depth.png import encode_depth, write_depth
from monokd.depth.projection import project_scan
from monokd.depth.visibility import remove_hidden
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_image, read_velodyne

REPEATS = 5


def fastest_ms(function: Callable[[], Any]) -> tuple[float, Any]:
    """The least processor time of several runs, which other processes disturb least, and the result."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return 1e3 * min(times), result


def phases(root: KittiFolder, frame: str, folder: Path) -> dict[str, float]:
    """Milliseconds of processor time of every phase of one frame; waiting for the disk is left out."""
    ms: dict[str, float] = {}
    ms["read scan"], scan = fastest_ms(lambda: read_velodyne(root.velodyne(frame)))
    ms["read calibration"], calibration = fastest_ms(lambda: read_calibration(root.calibration(frame)))
    ms["decode image"], image = fastest_ms(lambda: read_image(root.image(frame)))
    ms["project"], sparse = fastest_ms(lambda: project_scan(scan, calibration, image.shape[:2]))
    ms["remove hidden"], sparse = fastest_ms(lambda: remove_hidden(sparse))
    ms["complete"], dense_m = fastest_ms(lambda: complete(sparse, image))
    ms["encode, write, check"], _ = fastest_ms(lambda: write_depth(folder / "frame.png", dense_m))
    return ms


def encodings(depth_m: Any) -> list[tuple[str, float, float]]:
    """PNG settings of the same map: name, milliseconds, kilobytes."""
    stored = encode_depth(depth_m)
    level, rule, filters = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_FILTER
    settings: dict[str, list[int]] = {
        "as OpenCV comes": [],
        "level 1, filter up": [level, 1, filters, cv2.IMWRITE_PNG_FILTER_UP],
        "level 1, filter up, runs": [level, 1, rule, cv2.IMWRITE_PNG_STRATEGY_RLE, filters, cv2.IMWRITE_PNG_FILTER_UP],
        "level 1, filter sub": [level, 1, filters, cv2.IMWRITE_PNG_FILTER_SUB],
        "level 6, filter up": [level, 6, filters, cv2.IMWRITE_PNG_FILTER_UP],
    }  # fmt: skip
    rows = []
    for name, options in settings.items():
        ms, data = fastest_ms(partial(cv2.imencode, ".png", stored, options))
        rows.append((name, ms, len(data[1]) / 1e3))
    return rows


def variants() -> dict[str, Method]:
    """Methods to compare on held-out returns."""

    def method(hidden: bool, colour: bool, rings: bool, doubt: float) -> Method:
        def dense(scan: Any, calibration: Any, image: Any) -> Any:
            sparse = project_scan(scan, calibration, image.shape[:2], rings=rings)
            return complete(sparse if hidden else remove_hidden(sparse), image if colour else None, doubt=doubt)

        return dense

    return {
        "as shipped": dense_depth,
        "hidden returns kept": method(True, True, True, 0.75),
        "without colour": method(False, False, True, 0.75),
        "borders never mixed": method(False, True, True, 0.0),
        "borders mixed more": method(False, True, True, 2.0),
        "without rings": method(False, True, False, 0.75),
        "nearest return": nearest_return,
    }


def nearest_return(scan: Any, calibration: Any, image: Any) -> Any:
    """Every pixel takes the closest pixel's return: the plain fill to compare with."""
    sparse_m = project_scan(scan, calibration, image.shape[:2], rings=False).depth_m
    empty = (sparse_m == 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    depth_of = np.zeros(labels.max() + 1, np.float32)
    depth_of[labels[sparse_m > 0]] = sparse_m[sparse_m > 0]
    return depth_of[labels]


def workers_table(root: KittiFolder, frames: list[str]) -> None:
    """Seconds of a whole folder by one and two processes, start-up taken off by a run over few frames."""
    copies = (frames * (1 + 200 // len(frames)))[:200]
    seconds = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            for name in ("image_2", "calib", "velodyne"):
                (data / "training" / name).mkdir(parents=True)
            for i, frame in enumerate(copies):
                for source, target in (
                    (root.image(frame), f"image_2/{i:06d}.png"),
                    (root.calibration(frame), f"calib/{i:06d}.txt"),
                    (root.velodyne(frame), f"velodyne/{i:06d}.bin"),
                ):
                    (data / "training" / target).symlink_to(source.resolve())
            ids = [f"{i:06d}" for i in range(len(copies))]
            start = time.perf_counter()
            densify_folder(KittiFolder(data), Path(folder) / "few", ids[:8], workers=workers)
            few = time.perf_counter() - start
            start = time.perf_counter()
            densify_folder(KittiFolder(data), Path(folder) / "all", ids, workers=workers)
            seconds[workers] = (time.perf_counter() - start, few)
            each = 1e3 * (seconds[workers][0] - few) / (len(ids) - 8)
            print(
                f"{workers} processes: {len(ids)} frames {seconds[workers][0]:.2f} s, {each:.1f} ms each when started"
            )
    steady = [total - few for total, few in seconds.values()]
    whole = [total for total, _ in seconds.values()]
    print(f"two processes: {steady[0] / steady[1]:.2f} times as fast, {whole[0] / whole[1]:.2f} with start-up")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    root = KittiFolder(arguments.root)
    frames = root.frames()
    with tempfile.TemporaryDirectory() as folder:
        rows = [phases(root, frame, Path(folder)) for frame in frames]
    for name in rows[0]:
        print(f"{name:24s}{np.mean([row[name] for row in rows[1:]]):8.2f} ms")
    print(f"{'sum':24s}{np.mean([sum(row.values()) for row in rows[1:]]):8.2f} ms")
    calibration, image = read_calibration(root.calibration(frames[0])), read_image(root.image(frames[0]))
    for label, ms, size in encodings(dense_depth(read_velodyne(root.velodyne(frames[0])), calibration, image)):
        print(f"PNG {label:32s}{ms:6.2f} ms {size:7.0f} kB")
    workers_table(root, frames)
    for label, method in variants().items():
        for seed in range(arguments.seeds):
            result: Any = measure_folder(root, frames, seed=seed, workers=1, method=method)
            print(
                f"{label:24s} seed {seed}: RMSE {result['rmse_m']:.3f} m, MAE {result['mae_m']:.3f} m, objects "
                f"{result['objects']['rmse_m']:.3f} and {result['objects']['mae_m']:.3f}, filled {result['filled']:.4f}"
            )


if __name__ == "__main__":
    main()
