"""A training stage, composed: parameters in, weights and history out."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from monokd.errors import DataError, say
from monokd.kitti.splits import has_labels, split_files, split_frames
from monokd.losses.task_weights import TaskWeights
from monokd.models.arithmetic import from_torchrun
from monokd.models.checkpoint import DetectorInfo, load_backbone, load_detector, save_detector
from monokd.models.detector import build_detector
from monokd.params import Params, Training
from monokd.progress import worker_count
from monokd.quirks import Quirks
from monokd.roles import labelled_frames, teacher_frames
from monokd.samples.dataset import Frames, SampleSet
from monokd.samples.loader import EpochLoader, build_loader, loader_workers
from monokd.samples.order import BatchOrder, EpochBatches, MixedBatches
from monokd.training.batch_norm import synchronise
from monokd.training.data import DEPTH, TEACHER_SEES, input_settings, training_set
from monokd.training.devices import neighbours, start
from monokd.training.loop import FitSettings, fit
from monokd.training.schedule import build_optimiser, learning_rate
from monokd.training.state import checkpoint_folder, fingerprint
from monokd.training.steps import DetectionStep
from monokd.training.validation import validation_losses
from monokd.typing import Modality

StageName = Literal["teacher", "baseline", "control", "distill"]


def chunking(settings: Training, quirks: Quirks, processes: int) -> tuple[int, int]:
    """Return how many chunks each process computes a step, and how many processes share a chunk.

    Batch statistics and distillation terms are those of a chunk (quirk Q5).

    Raises:
        DataError: processes cannot share the batch, or chunks not divide a process's part or be made of several.
    """
    batch, chunk = settings.batch_size, settings.chunk_frames if quirks.per_replica_normaliser else 0
    if batch % processes:
        raise DataError(f"batch_size: expected a multiple of the {processes} processes, found {batch}", "params.yaml")
    own = batch // processes
    if chunk == 0:
        return 1, processes
    if own % chunk == 0:
        return own // chunk, 1
    if chunk % own == 0 and processes % (chunk // own) == 0:
        return 1, chunk // own
    reason = f"expected to divide the {own} frames of a process, or to be a multiple of them, found {chunk}"
    raise DataError(f"chunk_frames: {reason}", "params.yaml")


class Stage:
    """One run of the training stage `name` of dvc.yaml, whose devices and processes have started.

    `out` is the file of the trained detector, `history` the CSV file. DataError where devices cannot be had, or
    processes cannot share the batch.
    """

    def __init__(self, name: StageName, params: Params, out: Path, history: Path) -> None:
        self.name, self.params, self.out, self.history = name, params, out, history
        self.settings, self.quirks = params.stage_settings(name), params.resolved_quirks()
        self.fabric = start(params.active.machine, params.seed)
        self.chunks, sharing = chunking(self.settings, self.quirks, self.fabric.world_size)
        self.processes, self.chunk = (neighbours(self.fabric, count) for count in (self.fabric.world_size, sharing))

    def train(
        self,
        step: DetectionStep,
        frames: SampleSet,
        info: DetectorInfo,
        *,
        unlabelled: int = 0,
        starts: Sequence[Path] = (),
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Train `step` in place, write the detector's weights, and remove the saved state.

        The last `unlabelled` of `frames` have no labels; `starts` are files of networks that the training starts from
        or learns from; `weights` those of the distillation terms, in the order of the published history (quirk Q1).
        """
        machine, fabric, settings, folder = self.params.active.machine, self.fabric, self.settings, Path()
        if self.chunk.count > 1 and (machine.sync_batch_norm or self.chunk.count < fabric.world_size):
            whole = self.chunk.count == fabric.world_size  # torch's own layer is for all processes
            for network in step.networks():
                synchronise(network, self.chunk.sum, cuda=whole and fabric.device.type == "cuda")
        if machine.channels_last:
            step.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if machine.compile:
            step.compile()
        optimiser = build_optimiser(step, settings)
        cores = max(worker_count(0) // from_torchrun("LOCAL_WORLD_SIZE"), 1)
        workers = loader_workers(-1 if machine.workers == "auto" else machine.workers, cores)
        order = self._order(len(frames) - unlabelled, unlabelled)
        loader = EpochLoader(frames, order, workers=workers, device=fabric.device)
        fit_settings = self._fit_settings(step, weights or {})
        tasks = TaskWeights(
            enabled=settings.task_weights,
            shifted_task_history=self.quirks.shifted_task_history,
            unbounded_trends=self.quirks.unbounded_trends,
            distillation_terms=tuple(weights or ()),
        )
        if fabric.is_global_zero:  # it reads all the data
            backbone = self.params.active.model.backbone_file
            files = [*frames.files(), *([Path(backbone)] if backbone else []), *starts]
            folder = checkpoint_folder(self.name, fingerprint(self.name, self._identity(weights or {}), files))
        checkpoint = fabric.broadcast(folder) / "state.pt"
        fit(
            step, loader, fit_settings, fabric=fabric, optimiser=optimiser, tasks=tasks, checkpoint=checkpoint,
            history=self.history,
        )  # fmt: skip
        if fabric.is_global_zero:
            save_detector(step.detector, self.out, info)
            shutil.rmtree(folder)

    def _order(self, labelled: int, unlabelled: int) -> BatchOrder:
        """Return the order of an epoch's batches: this process's part of each, in chunks.

        Without `epoch_steps`, frames without labels do not add steps: a student takes as many as its control.
        """
        settings, seed, chunks = self.settings, self.params.seed, self.chunks
        size, process = settings.batch_size, (self.fabric.global_rank, self.fabric.world_size)
        if not unlabelled and not settings.epoch_steps:
            return EpochBatches(labelled, size, seed=seed, process=process, chunks=chunks)
        share = self.params.active.unlabelled.share if unlabelled else 0.0
        steps, counts = settings.epoch_steps or max(labelled // size, 1), (labelled, unlabelled)
        return MixedBatches(counts, size, share=share, steps=steps, seed=seed, process=process, chunks=chunks)

    def _fit_settings(self, step: DetectionStep, weights: Mapping[str, float]) -> FitSettings:
        settings, machine = self.settings, self.params.active.machine
        validation = self._validation_loader(step.modality) if settings.evaluate_every else None
        plain = DetectionStep(step.detector, modality=step.modality, quirks=Quirks.of("corrected"))
        return FitSettings(
            self.name,
            settings.epochs,
            partial(learning_rate, settings),
            weights=weights,
            gradient_clip=settings.gradient_clip,
            accumulate=settings.accumulate,
            chunks=self.chunks,
            zero_weight_gradients=self.quirks.zero_weight_gradients,
            evaluate=None if validation is None else partial(validation_losses, plain, validation, self.fabric),
            evaluate_every=settings.evaluate_every,
            save_minutes=machine.save_minutes,
        )

    def _validation_loader(self, modality: Modality) -> EpochLoader:
        params, split = self.params, self.params.active.data.val_split
        if not has_labels(split):
            section = f"profiles.{params.profile}.{'student' if self.name in ('control', 'distill') else self.name}"
            found = f"which has no labels, found {self.settings.evaluate_every}"
            reason = f"{section}.evaluate_every: expected 0 where data.val_split is {split}, {found}"
            raise DataError(reason, "params.yaml")
        inputs = input_settings(params, depth_scaled_twice=self.quirks.depth_scaled_twice, modalities=(modality,))
        names = split_frames(params.data_root, split)
        frames = Frames(split_files(params.data_root, split), names, inputs, depth_dir=DEPTH, labels=True)
        process = self.fabric.global_rank, self.fabric.world_size
        return build_loader(frames, batch_size=self.settings.batch_size, process=process)

    def _identity(self, weights: Mapping[str, float]) -> dict[str, object]:
        """Return every parameter that decides the weights of the stage."""
        profile = self.params.active
        return {
            "profile": self.params.profile,
            "seed": self.params.seed,
            "quirks": repr(self.quirks),
            "data": profile.data.model_dump(),
            "model": profile.model.model_dump(),
            "machine": profile.machine.model_dump(include={"precision", "tf32", "threads", "sync_batch_norm"}),
            "training": self.settings.model_dump(),
            "weights": dict(weights),
            "unlabelled": profile.unlabelled.model_dump() if self.name == "distill" else None,
        }


def train_detector(params: Params, name: Literal["teacher", "baseline"], *, out: Path, history: Path) -> None:
    """Train one detector from scratch, or from an ImageNet backbone: the teacher on depth, the baseline on images.

    Raises:
        DataError: data missing or broken, or a loss that is not finite.
    """
    stage = Stage(name, params, out, history)
    modality: Modality = TEACHER_SEES if name == "teacher" else "image"
    data, model, quirks = params.active.data, params.active.model, stage.quirks
    info = DetectorInfo(
        width=model.width,
        modality=modality,
        classes=data.classes,
        height_px=data.height_px,
        width_px=data.width_px,
        anisotropic_decode=quirks.anisotropic_decode,
        clamped_heights=quirks.clamped_heights,
        depth_scaled_twice=quirks.depth_scaled_twice,
        architecture=model.architecture,
    )
    detector = build_detector(info.width, quirks=quirks, architecture=info.architecture)
    if model.backbone_file:
        load_backbone(detector, model.backbone_file, model.backbone_sha256 or None)
    elif quirks.published_initialisation and stage.fabric.is_global_zero:
        say(f"{name}: starts from scratch; the published one starts from ImageNet (model.backbone_file, docs/kitti.md)")
    step = DetectionStep(detector, modality=modality, quirks=quirks, processes=stage.processes)
    frames = teacher_frames(params) if name == "teacher" else labelled_frames(params)
    inputs = input_settings(params, depth_scaled_twice=info.depth_scaled_twice, modalities=(modality,))
    stage.train(step, training_set(params, stage.settings, frames, inputs), info)


def train_control(params: Params, *, baseline: Path, out: Path, history: Path) -> None:
    """Train the student's control: from the baseline's weights, as long as the student, by labels alone.

    Raises:
        DataError: data missing or broken, start weights that do not fit, or a loss that is not finite.
    """
    stage = Stage("control", params, out, history)
    detector, info = load_detector(baseline, "image")
    step = DetectionStep(detector, modality="image", quirks=stage.quirks, processes=stage.processes)
    inputs = input_settings(params, depth_scaled_twice=info.depth_scaled_twice, modalities=("image",))
    frames = training_set(params, stage.settings, labelled_frames(params), inputs)
    stage.train(step, frames, trained_further(info, params), starts=[baseline])


def trained_further(info: DetectorInfo, params: Params) -> DetectorInfo:
    """Return what a detector's file says once it was trained with `params`: what it computes stays as it was."""
    data = params.active.data
    return replace(info, classes=data.classes, height_px=data.height_px, width_px=data.width_px)
