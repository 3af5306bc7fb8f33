"""Dense depth: times, PNG settings, processes, errors of variants. `python benchmarks/depth.py KITTI_ROOT`."""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure import Row, fastest_ms, kitti_folder, show

from monokd.depth.completion import complete, dense_depth
from monokd.depth.folder import densify_folder
from monokd.depth.held_out import Method, measure_folder
from monokd.depth.png import encode_depth, write_depth
from monokd.depth.projection import project_scan
from monokd.depth.visibility import remove_hidden
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_image, read_velodyne

LEVEL, RULE, FILTER = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_FILTER
PNG_SETTINGS = {
    "as OpenCV comes": [],
    "level 1, filter up": [LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_UP],
    "level 1, filter up, runs": [LEVEL, 1, RULE, cv2.IMWRITE_PNG_STRATEGY_RLE, FILTER, cv2.IMWRITE_PNG_FILTER_UP],
    "level 1, filter sub": [LEVEL, 1, FILTER, cv2.IMWRITE_PNG_FILTER_SUB],
    "level 6, filter up": [LEVEL, 6, FILTER, cv2.IMWRITE_PNG_FILTER_UP],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=kitti_folder())
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if not options.root.is_dir():
        print(f"depth: needs frames in KITTI's layout, found none in {options.root}")
        return
    cv2.setNumThreads(1)
    root = KittiFolder(options.root)
    frames = root.frames()
    with tempfile.TemporaryDirectory() as folder:
        rows = [phases(root, frame, Path(folder)) for frame in frames][1:]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    means["sum"] = sum(means.values())
    show("a frame, ms of a core", [{"phase": name, "ms": ms} for name, ms in means.items()])
    show("PNG of the same map", encodings(dense_depth(*inputs(root, frames[0]))))
    show("a folder of 200 frames", [processes(root, frames, workers) for workers in (1, 2)])
    errors = []
    for label, method in variants().items():
        for seed in range(options.seeds):
            found: Any = measure_folder(root, frames, seed=seed, workers=1, method=method)
            row = {"variant": label, "seed": seed, "RMSE, m": found["rmse_m"], "MAE, m": found["mae_m"]}
            on_objects = {f"objects' {name}": found["objects"][name] for name in ("rmse_m", "mae_m")}
            errors.append(row | on_objects | {"filled": found["filled"]})
    show("on returns that were held out", errors)


def inputs(root: KittiFolder, frame: str) -> tuple[Any, Any, Any]:
    return read_velodyne(root.velodyne(frame)), read_calibration(root.calibration(frame)), read_image(root.image(frame))


def phases(root: KittiFolder, frame: str, folder: Path) -> dict[str, float]:
    """Milliseconds of processor time of every phase of one frame; waiting for the disk is left out."""
    scan, calibration, image = inputs(root, frame)
    sparse = project_scan(scan, calibration, image.shape[:2])
    seen = remove_hidden(sparse)
    dense_m = complete(seen, image)
    ways = {
        "read scan": lambda: read_velodyne(root.velodyne(frame)),
        "read calibration": lambda: read_calibration(root.calibration(frame)),
        "decode image": lambda: read_image(root.image(frame)),
        "project": lambda: project_scan(scan, calibration, image.shape[:2]),
        "remove hidden": lambda: remove_hidden(sparse),
        "complete": lambda: complete(seen, image),
        "encode, write, check": lambda: write_depth(folder / "frame.png", dense_m),
    }
    return {name: fastest_ms(way) for name, way in ways.items()}


def encodings(depth_m: Any) -> list[Row]:
    stored = encode_depth(depth_m)
    return [
        {"settings": name, "ms": fastest_ms(partial(cv2.imencode, ".png", stored, given)),
         "kB": len(cv2.imencode(".png", stored, given)[1]) / 1e3}
        for name, given in PNG_SETTINGS.items()
    ]  # fmt: skip


def variants() -> dict[str, Method]:
    """Methods to compare on held-out returns."""

    def method(*, hidden: bool = False, colour: bool = True, rings: bool = True, doubt: float = 0.75) -> Method:
        def dense(scan: Any, calibration: Any, image: Any) -> Any:
            sparse = project_scan(scan, calibration, image.shape[:2], rings=rings)
            return complete(
                sparse if hidden else remove_hidden(sparse), image if colour else np.zeros_like(image), doubt=doubt
            )

        return dense

    return {
        "as it is": dense_depth, "hidden returns kept": method(hidden=True), "without colour": method(colour=False),
        "borders never mixed": method(doubt=0.0), "borders mixed more": method(doubt=2.0),
        "without rings": method(rings=False), "nearest return": nearest_return,
    }  # fmt: skip


def nearest_return(scan: Any, calibration: Any, image: Any) -> Any:
    """Every pixel takes the closest pixel's return: the plain fill to compare with."""
    sparse_m = project_scan(scan, calibration, image.shape[:2], rings=False).depth_m
    empty = (sparse_m == 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    depth_of = np.zeros(labels.max() + 1, np.float32)
    depth_of[labels[sparse_m > 0]] = sparse_m[sparse_m > 0]
    return depth_of[labels]


def processes(root: KittiFolder, frames: list[str], workers: int) -> Row:
    """Seconds of a folder, and milliseconds a frame once the processes have started, by a run over few frames."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for frame, source in enumerate(islice(cycle(frames), 200)):
            for path in (root.image(source), root.calibration(source), root.velodyne(source)):
                link = folder / "training" / path.parent.name / f"{frame:06d}{path.suffix}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
        names, seconds = [f"{frame:06d}" for frame in range(200)], []
        for out, some in (("few", names[:8]), ("all", names)):
            began = time.perf_counter()
            densify_folder(KittiFolder(folder), folder / out, some, workers=workers)
            seconds.append(time.perf_counter() - began)
    return {"processes": workers, "s": seconds[1], "ms a frame": 1e3 * (seconds[1] - seconds[0]) / (len(names) - 8)}


if __name__ == "__main__":
    main()
