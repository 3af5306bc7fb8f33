"""Boxes written as the labels of frames that have none: result files whose uncertain lines are DontCare."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects
from monokd.labelling.quality import Thresholds

WHOLE_IMAGE_PX = (0.0, 0.0, 16_384.0, 16_384.0)


def as_labels(found: Objects, thresholds: Thresholds, *, score_weights: bool = False) -> Objects:
    """Turn detections into labels: sure ones stay, uncertain ones become DontCare regions, the rest goes.

    The score of a label is its weight in training: that of the detection, or 1.
    """
    kept = found.select(found.scores >= thresholds.ignore)
    sure = kept.scores >= thresholds.keep
    names = tuple(name if sure[i] else "DontCare" for i, name in enumerate(kept.names))
    unknown = ~sure
    return replace(
        kept,
        names=names,
        truncation=np.where(unknown, -1.0, 0.0),
        occlusion=np.where(unknown, -1.0, 0.0),
        alpha_rad=np.where(unknown, -10.0, kept.alpha_rad),
        sizes_m=np.where(unknown[:, None], -1.0, kept.sizes_m),
        locations_m=np.where(unknown[:, None], -1000.0, kept.locations_m),
        rotation_y_rad=np.where(unknown, -10.0, kept.rotation_y_rad),
        scores=kept.scores if score_weights else np.ones(len(kept)),
    )


def nothing_known() -> Objects:
    """Return one DontCare region over the whole image: such a frame teaches no box and no absence of one."""
    one = np.ones(1)
    return Objects(
        ("DontCare",), -one, -one, -10 * one, np.array([WHOLE_IMAGE_PX]), -np.ones((1, 3)), -1000 * np.ones((1, 3)),
        -10 * one, one,
    )  # fmt: skip


def write_frames(out: Path, labels: Iterable[tuple[str, Objects]]) -> int:
    """Write OUT/FRAME.txt for every frame and return how many; files of an earlier run go."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    count = 0
    for frame, objects in labels:
        write_results(out / f"{frame}.txt", objects)
        count += 1
    return count
