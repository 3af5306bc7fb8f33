"""Which frames a stage trains on, and how they become batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from monokd.kitti.splits import has_labels, split_files, split_frames
from monokd.params import Params, Training
from monokd.samples.augment import Augmentation
from monokd.samples.dataset import Frames, InputSettings, JoinedFrames
from monokd.samples.loader import EpochLoader, build_loader

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEPTH, DEPTH_UNLABELLED, LABELS = Path("data/depth"), Path("data/depth_unlabelled"), Path("data/labels")


def labelled_frames(params: Params) -> list[str]:
    """Return the frames of the train split.

    Raises:
        DataError: no such split, or frames missing.
    """
    return split_frames(params.data_root, params.active.data.train_split)


def teacher_frames(params: Params) -> list[str]:
    """Return the frames of the train split that the teacher sees, all but the last `data.held_out` of them."""
    frames = labelled_frames(params)
    return frames[: len(frames) - round(params.active.data.held_out * len(frames))]


def held_out_frames(params: Params) -> list[str]:
    """Return the labelled frames that the teacher does not see, on which the scores of its boxes are judged."""
    return labelled_frames(params)[len(teacher_frames(params)) :]


def unlabelled_frames(params: Params) -> list[str]:
    """Return the frames without labels, none where no split is named."""
    split = params.active.data.unlabelled_split
    return split_frames(params.unlabelled_root, split) if split else []


def input_settings(params: Params, *, depth_scaled_twice: bool) -> InputSettings:
    """Return what frames become for the networks of a run."""
    data = params.active.data
    return InputSettings(data.height_px, data.width_px, data.classes, depth_scaled_twice)
