"""Frames of a stage as samples, and how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monokd.kitti.frames import FrameSource
from monokd.kitti.splits import split_files
from monokd.params import Params, Training
from monokd.samples.augment import Augmentation
from monokd.samples.dataset import Frames, InputSettings, JoinedFrames, SampleSet
from monokd.samples.order import BatchOrder, Chunks, EpochBatches, MixedBatches
from monokd.typing import Modality

DEPTH, DEPTH_UNLABELLED, LABELS = Path("data/depth"), Path("data/depth_unlabelled"), Path("data/labels")


def input_settings(
    params: Params, *, depth_scaled_twice: bool, modalities: tuple[Modality, ...] = ("image", "depth")
) -> InputSettings:
    """Return what frames become for the networks of a run."""
    data = params.active.data
    return InputSettings(data.height_px, data.width_px, data.classes, depth_scaled_twice, modalities)


def training_set(params: Params, settings: Training, frames: Sequence[str], inputs: InputSettings) -> Frames:
    """Return labelled frames, varied as the settings say."""
    files = split_files(params.data_root, params.active.data.train_split)
    return Frames(
        files,
        frames,
        inputs,
        depth_dir=DEPTH,
        labels=True,
        augmentation=Augmentation(params.seed, settings.flip, settings.crop, settings.jitter),
        cache=params.active.machine.cache_images,
    )


def mixed_set(params: Params, labelled: Frames, source: FrameSource, unlabelled: Sequence[str]) -> SampleSet:
    """Return the labelled frames, and after them those without, with the boxes of stage `label` as their labels."""
    second = Frames(
        source,
        unlabelled,
        labelled.settings,
        depth_dir=DEPTH_UNLABELLED,
        labels=LABELS,
        axis_headings=params.active.unlabelled.headings == "axis",
        augmentation=labelled.augmentation,
        cache=params.active.machine.cache_images,
    )
    return JoinedFrames(labelled, second)


def batch_order(
    settings: Training, counts: tuple[int, int], *, share: float, seed: int, chunks: int, process: tuple[int, int]
) -> BatchOrder:
    """Return the order of an epoch's batches.

    Args:
        settings: batch size, and steps of an epoch; 0 steps are as many as one pass over the labelled frames alone has,
            so that a student takes as many as its control.
        counts: labelled and unlabelled frames.
        share: of each batch that has no labels.
        seed: of the order.
        chunks: pieces of each process's part of a batch (quirk Q5).
        process: number of this process, and how many share each batch.

    Raises:
        DataError: too few frames.
    """
    order: BatchOrder
    if counts[1] or settings.epoch_steps:
        steps = settings.epoch_steps or max(counts[0] // settings.batch_size, 1)
        order = MixedBatches(counts, settings.batch_size, share=share, steps=steps, seed=seed, process=process)
    else:
        order = EpochBatches(counts[0], settings.batch_size, seed=seed, process=process)
    return Chunks(order, chunks) if chunks > 1 else order
