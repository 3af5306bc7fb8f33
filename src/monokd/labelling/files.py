"""Boxes written as the labels of frames that have none: result files whose uncertain lines are DontCare."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects, from_rows
from monokd.labelling.quality import Thresholds

WHOLE_IMAGE_PX = (0.0, 0.0, 16_384.0, 16_384.0)


def as_labels(found: Objects, thresholds: Thresholds, *, score_weights: bool = False) -> Objects:
    """Turn detections into labels: sure ones stay, uncertain ones become DontCare regions, the rest goes.

    The score of a label is its weight in training: that of the detection, or 1.
    """
    kept = found.select(found.scores >= thresholds.ignore)
    unknown = kept.scores < thresholds.keep
    return replace(
        kept,
        names=tuple(np.where(unknown, "DontCare", kept.names)),
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
    return from_rows(("DontCare",), np.array([-1, -1, -10, *WHOLE_IMAGE_PX, *[-1] * 3, *[-1000] * 3, -10, 1.0]))


def write_frames(out: Path, labels: Iterable[tuple[str, Objects]]) -> None:
    """Write OUT/FRAME.txt for every frame; files of an earlier run go."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for frame, objects in labels:
        write_results(out / f"{frame}.txt", objects)
