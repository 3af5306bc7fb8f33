"""Errors of dense depth and of its variants on returns that were held out. `python benchmarks/depth.py [KITTI_ROOT]`"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure import KITTI, Row, show

from monokd.depth.completion import complete, dense_depth
from monokd.depth.held_out import Method, measure_folder
from monokd.depth.projection import project_scan
from monokd.depth.visibility import remove_hidden
from monokd.kitti.frames import KittiFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=KITTI)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if not options.root.is_dir():
        print(f"depth: needs frames in KITTI's layout, found none in {options.root}")
        return
    cv2.setNumThreads(1)
    root, rows = KittiFolder(options.root), []
    for label, method in variants().items():
        for seed in range(options.seeds):
            found: Any = measure_folder(root, root.frames(), seed=seed, workers=1, method=method)
            row: Row = {"variant": label, "seed": seed, "RMSE, m": found["rmse_m"], "MAE, m": found["mae_m"]}
            row |= {f"objects' {name}": found["objects"][name] for name in ("rmse_m", "mae_m")}
            rows.append(row | {"filled": found["filled"]})
    show("on returns that were held out", rows)


def variants() -> dict[str, Method]:
    """Methods to compare."""

    def method(*, hidden: bool = False, colour: bool = True, rings: bool = True, doubt: float = 0.75) -> Method:
        def dense(scan: Any, calibration: Any, image: Any) -> Any:
            sparse = project_scan(scan, calibration, image.shape[:2], rings=rings)
            return complete(
                sparse if hidden else remove_hidden(sparse), image if colour else np.zeros_like(image), doubt=doubt
            )

        return dense

    doubts = {f"doubt {doubt:g}": method(doubt=doubt) for doubt in (0.0, 0.5, 1.0, 1.5)}
    return {
        "as it is": dense_depth, **doubts, "hidden returns kept": method(hidden=True),
        "without colour": method(colour=False), "without rings": method(rings=False), "nearest return": nearest_return,
    }  # fmt: skip


def nearest_return(scan: Any, calibration: Any, image: Any) -> Any:
    """Every pixel takes the closest pixel's return: the plain fill to compare with."""
    sparse_m = project_scan(scan, calibration, image.shape[:2], rings=False).depth_m
    empty = (sparse_m == 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    depth_of = np.zeros(labels.max() + 1, np.float32)
    depth_of[labels[sparse_m > 0]] = sparse_m[sparse_m > 0]
    return depth_of[labels]


if __name__ == "__main__":
    main()
