"""Frames of a stage as samples."""

from collections.abc import Sequence
from pathlib import Path

from monokd.kitti.frames import FrameSource
from monokd.kitti.splits import split_files
from monokd.params import Params, Training
from monokd.samples.augment import Augmentation
from monokd.samples.dataset import Frames, InputSettings, JoinedFrames
from monokd.typing import Modality

DEPTH, DEPTH_UNLABELLED, LABELS = Path("data/depth"), Path("data/depth_unlabelled"), Path("data/labels")
TEACHER_SEES: Modality = "depth"


def input_settings(params: Params, *, depth_scaled_twice: bool, modalities: tuple[Modality, ...]) -> InputSettings:
    """Return what frames become for the networks of a run."""
    data = params.active.data
    return InputSettings(data.height_px, data.width_px, data.classes, depth_scaled_twice, modalities)


def training_set(params: Params, settings: Training, frames: Sequence[str], inputs: InputSettings) -> Frames:
    """Return labelled frames, varied as the settings say."""
    return Frames(
        split_files(params.data_root, params.active.data.train_split),
        frames,
        inputs,
        depth_dir=DEPTH,
        labels=True,
        augmentation=Augmentation(params.seed, settings.flip, settings.crop, settings.jitter),
        cache=params.active.machine.cache_images,
    )


def mixed_set(params: Params, labelled: Frames, source: FrameSource, unlabelled: Sequence[str]) -> JoinedFrames:
    """Return the labelled frames, and after them those without, with the boxes of stage `label` as their labels."""
    own = params.active.unlabelled
    second = Frames(
        source,
        unlabelled,
        labelled.settings,
        depth_dir=DEPTH_UNLABELLED,
        labels=LABELS,
        axis_headings=own.headings == "axis" and own.boxes != "labels",
        augmentation=labelled.augmentation,
        cache=params.active.machine.cache_images,
    )
    return JoinedFrames(labelled, second)
