"""A training stage, composed: parameters in, weights and history out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from monokd.errors import DataError, say
from monokd.kitti.splits import has_labels, split_files, split_frames
from monokd.losses.means import Processes
from monokd.losses.task_weights import TaskWeights
from monokd.models.checkpoint import DetectorInfo, load_backbone, save_detector
from monokd.models.detector import build_detector
from monokd.params import Params, Training
from monokd.progress import worker_count
from monokd.quirks import Quirks
from monokd.roles import labelled_frames, teacher_frames
from monokd.samples.dataset import Frames, SampleSet
from monokd.samples.loader import EpochLoader, build_loader, loader_workers
from monokd.training.batch_norm import synchronise
from monokd.training.data import DEPTH, batch_order, input_settings, training_set
from monokd.training.devices import all_processes, chunk_processes, start
from monokd.training.loop import FitSettings, fit
from monokd.training.schedule import build_optimiser, learning_rate
from monokd.training.state import checkpoint_folder, fingerprint
from monokd.training.steps import DetectionStep
from monokd.training.validation import validation_losses
from monokd.training.weights import TermWeights
from monokd.typing import Modality

if TYPE_CHECKING:
    from lightning_fabric import Fabric

StageName = Literal["teacher", "baseline", "control", "distill"]


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a batch is divided where batch statistics and distillation terms are those of a chunk (quirk Q5).

    Attributes:
        frames: of one batch of the loader.
        chunks: of them that a process computes a step.
        processes: that share a chunk.
    """

    frames: int
    chunks: int
    processes: int


def chunking(settings: Training, quirks: Quirks, processes: int) -> Chunking:
    """Divide a batch among processes, and each one's part into chunks.

    Raises:
        DataError: processes cannot share the batch, or chunks not divide a process's part or be made of several.
    """
    batch, chunk = settings.batch_size, settings.chunk_frames if quirks.per_replica_normaliser else 0
    if batch % processes:
        raise DataError(f"batch_size: expected a multiple of the {processes} processes, found {batch}", "params.yaml")
    own = batch // processes
    if chunk == 0:
        return Chunking(own, 1, processes)
    if own % chunk == 0:
        return Chunking(chunk, own // chunk, 1)
    if chunk % own == 0 and processes % (chunk // own) == 0:
        return Chunking(own, 1, chunk // own)
    reason = (
        f"chunk_frames: expected to divide the {own} frames of a process, or to be a multiple of them, found {chunk}"
    )
    raise DataError(reason, "params.yaml")


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a training stage.

    Attributes:
        name: as in dvc.yaml.
        params: the whole tree.
        fabric: device, precision, processes.
        settings: how it trains.
        quirks: in force.
        chunking: of its batches.
        chunk: the processes that share a chunk.
    """

    name: StageName
    params: Params
    fabric: Fabric
    settings: Training
    quirks: Quirks
    chunking: Chunking
    chunk: Processes

    @classmethod
    def begin(cls, name: StageName, params: Params) -> Stage:
        """Start devices and processes.

        Raises:
            DataError: they cannot be had, or cannot share the batch.
        """
        fabric = start(params.active.machine, params.seed)
        settings, quirks = params.stage_settings(name), params.resolved_quirks()
        plan = chunking(settings, quirks, fabric.world_size)
        whole = plan.processes == fabric.world_size
        shared = all_processes(fabric) if whole else chunk_processes(fabric, plan.processes)
        return cls(name, params, fabric, settings, quirks, plan, shared)

    def train(
        self,
        step: DetectionStep,
        frames: SampleSet,
        *,
        history: Path,
        counts: tuple[int, int] | None = None,
        starts: Sequence[Path] = (),
        terms: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
    ) -> Path:
        """Train `step` in place and return the folder of the saved state, to be removed once the weights are written.

        Args:
            step: what trains.
            frames: labelled ones, then those without.
            history: the CSV file.
            counts: how many are labelled, and how many not; by default all and none.
            starts: files of networks that the training starts from or learns from.
            terms: distillation terms in the order of the published history (quirk Q1).
            weights: of the distillation terms.
        """
        machine, fabric = self.params.active.machine, self.fabric
        if self.chunk.count > 1 and (machine.sync_batch_norm or self.chunk.count < fabric.world_size):
            whole = self.chunk.count == fabric.world_size  # torch's own layer is for all processes
            synchronise(step, self.chunk.sum, cuda=whole and fabric.device.type == "cuda")
        if machine.channels_last:
            step.to_memory_format(torch.channels_last)
        optimiser = build_optimiser(
            step,
            kind=self.settings.optimiser,
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        order = batch_order(
            self.settings,
            counts or (len(frames), 0),
            share=self.params.active.unlabelled.share if counts and counts[1] else 0.0,
            seed=self.params.seed,
            chunks=self.chunking.chunks,
            process=(fabric.global_rank, fabric.world_size),
        )
        cores = max(worker_count(0) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
        workers = loader_workers(-1 if machine.workers == "auto" else machine.workers, cores)
        loader = EpochLoader(frames, order, workers=workers, device=fabric.device)
        leader, key = fabric.is_global_zero, ""
        if leader:  # it reads all the data
            key = fingerprint(self.name, self._identity(weights or {}), [*frames.files(), *self._backbone(), *starts])
        folder = checkpoint_folder(self.name, fabric.broadcast(key), writes=leader)
        fit(
            step,
            loader,
            self._fit_settings(step),
            fabric=fabric,
            optimiser=optimiser,
            weights=TermWeights(self._task_weights(terms), weights or {}),
            checkpoint=folder / "state.pt",
            history=history,
        )
        return folder

    def _backbone(self) -> list[Path]:
        file = self.params.active.model.backbone_file
        return [Path(file)] if file else []

    def _fit_settings(self, step: DetectionStep) -> FitSettings:
        settings, machine = self.settings, self.params.active.machine
        rate = partial(
            learning_rate,
            kind=settings.schedule,
            base=settings.learning_rate,
            epochs=settings.epochs,
            warmup_epochs=settings.warmup_epochs,
            decay_epochs=settings.decay_epochs,
        )
        validation = self._validation_loader()
        plain = DetectionStep(step.detector, modality=step.modality, quirks=Quirks.of("corrected"))
        return FitSettings(
            self.name,
            settings.epochs,
            rate,
            gradient_clip=settings.gradient_clip,
            accumulate=settings.accumulate,
            chunks=self.chunking.chunks,
            zero_weight_gradients=self.quirks.zero_weight_gradients,
            compiled=machine.compile,
            evaluate=None if validation is None else partial(validation_losses, plain, validation, self.fabric),
            evaluate_every=settings.evaluate_every,
            save_minutes=machine.save_minutes,
        )

    def _validation_loader(self) -> EpochLoader | None:
        """Return the validation frames, where losses on them are wanted."""
        params, every, split = self.params, self.settings.evaluate_every, self.params.active.data.val_split
        if not every:
            return None
        if not has_labels(split):
            reason = f"expected 0 where data.val_split is {split}, which has no labels, found {every}"
            raise DataError(f"{self.section}.evaluate_every: {reason}", "params.yaml")
        inputs = input_settings(params, depth_scaled_twice=self.quirks.depth_scaled_twice)
        names = split_frames(params.data_root, split)
        frames = Frames(split_files(params.data_root, split), names, inputs, depth_dir=DEPTH, labels=True)
        process = self.fabric.global_rank, self.fabric.world_size
        return build_loader(frames, batch_size=self.settings.batch_size, process=process)

    @property
    def section(self) -> str:
        """The dotted name of the stage's settings."""
        return f"profiles.{self.params.profile}.{'student' if self.name in ('control', 'distill') else self.name}"

    def _task_weights(self, terms: Sequence[str]) -> TaskWeights:
        return TaskWeights(
            enabled=self.settings.task_weights,
            shifted_task_history=self.quirks.shifted_task_history,
            unbounded_trends=self.quirks.unbounded_trends,
            distillation_terms=tuple(terms),
        )

    def _identity(self, weights: Mapping[str, float]) -> dict[str, object]:
        """Return every parameter that decides the weights of the stage."""
        profile = self.params.active
        return {
            "stage": self.name,
            "profile": self.params.profile,
            "seed": self.params.seed,
            "quirks": repr(self.quirks),
            "data": profile.data.model_dump(),
            "model": profile.model.model_dump(),
            "machine": profile.machine.model_dump(include={"precision", "tf32", "sync_batch_norm"}),
            "training": self.settings.model_dump(),
            "weights": dict(weights),
            "unlabelled": profile.unlabelled.model_dump() if self.name == "distill" else None,
        }


def train_detector(params: Params, name: Literal["teacher", "baseline"], *, out: Path, history: Path) -> None:
    """Train one detector from scratch, or from an ImageNet backbone: the teacher on depth, the baseline on images.

    Args:
        params: the whole tree.
        name: which of the two; its schedule is `profiles.P.NAME`.
        out: the safetensors file.
        history: the CSV file.

    Raises:
        DataError: data missing or broken, or a loss that is not finite.
    """
    stage = Stage.begin(name, params)
    modality: Modality = "depth" if name == "teacher" else "image"
    info = detector_info(params, stage.quirks, modality)
    detector = build_detector(info.width, quirks=stage.quirks, architecture=info.architecture)
    model = params.active.model
    if model.backbone_file:
        load_backbone(detector, model.backbone_file, model.backbone_sha256 or None)
    elif stage.quirks.published_initialisation and stage.fabric.is_global_zero:
        say(f"{name}: starts from scratch; the published one starts from ImageNet (model.backbone_file, docs/kitti.md)")
    step = DetectionStep(detector, modality=modality, quirks=stage.quirks, processes=all_processes(stage.fabric))
    frames = teacher_frames(params) if name == "teacher" else labelled_frames(params)
    inputs = input_settings(params, depth_scaled_twice=info.depth_scaled_twice, modalities=(modality,))
    state = stage.train(step, training_set(params, stage.settings, frames, inputs), history=history)
    if stage.fabric.is_global_zero:
        save_detector(detector, out, info)
        shutil.rmtree(state)


def detector_info(params: Params, quirks: Quirks, modality: Modality) -> DetectorInfo:
    """Return what the file of a trained detector says about itself."""
    data = params.active.data
    return DetectorInfo(
        width=params.active.model.width,
        modality=modality,
        classes=data.classes,
        height_px=data.height_px,
        width_px=data.width_px,
        anisotropic_decode=quirks.anisotropic_decode,
        clamped_heights=quirks.clamped_heights,
        depth_scaled_twice=quirks.depth_scaled_twice,
    )
