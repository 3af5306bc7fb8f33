"""A training stage, composed: parameters in, weights and history out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels
from monokd.losses.means import Processes
from monokd.losses.task_weights import TaskWeights
from monokd.models.checkpoint import DetectorInfo, load_backbone, save_detector
from monokd.models.detector import Detector, build_detector
from monokd.params import Params, Training
from monokd.quirks import Quirks
from monokd.samples.loader import EpochLoader
from monokd.training.batch_norm import synchronise
from monokd.training.data import held_out_split, labelled_frames, training_loader
from monokd.training.devices import all_processes, chunk_processes, start
from monokd.training.loop import FitSettings, fit
from monokd.training.schedule import build_optimiser, learning_rate
from monokd.training.state import checkpoint_folder, fingerprint
from monokd.training.steps import DetectionStep, TrainingStep
from monokd.training.validation import validation_losses
from monokd.training.weights import TermWeights

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
        step: TrainingStep,
        loader: EpochLoader,
        *,
        history: Path,
        files: Iterable[Path],
        terms: Sequence[str] = (),
        weights: Mapping[str, float] | None = None,
    ) -> Path:
        """Train `step` in place and return the folder of the saved state, to be removed once the weights are written.

        Args:
            step: what trains.
            loader: the data.
            history: the CSV file.
            files: everything that decides the weights beside code and parameters.
            terms: distillation terms in the order of the published history (quirk Q1).
            weights: of the distillation terms.
        """
        machine = self.params.active.machine
        if self.chunk.count > 1 and (machine.sync_batch_norm or self.chunking.processes < self.fabric.world_size):
            synchronise(step, self.chunk.sum, cuda=self.fabric.device.type == "cuda")
        if machine.channels_last:
            step.to_memory_format(torch.channels_last)
        optimiser = build_optimiser(
            step,
            kind=self.settings.optimiser,
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        leader = self.fabric.is_global_zero
        key = fingerprint(self.name, self._identity(weights or {}), files) if leader else ""  # it reads all the data
        folder = checkpoint_folder(self.name, self.fabric.broadcast(key), writes=leader)
        fit(
            step,
            loader,
            self._fit_settings(step),
            fabric=self.fabric,
            optimiser=optimiser,
            weights=TermWeights(self._task_weights(terms), weights or {}),
            checkpoint=folder / "state.pt",
            history=history,
        )
        return folder

    def _fit_settings(self, step: TrainingStep) -> FitSettings:
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
        every, split = self.settings.evaluate_every, self.params.active.data.val_split
        if not every:
            return None
        if not has_labels(split):
            reason = f"expected 0 where data.val_split is {split}, which has no labels, found {every}"
            section = (
                f"profiles.{self.params.profile}.{'student' if self.name in ('control', 'distill') else self.name}"
            )
            raise DataError(f"{section}.evaluate_every: {reason}", "params.yaml")
        return validation_loader(self.params, self.settings, self.fabric)

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
    detector = _new_detector(params, stage.quirks)
    step = DetectionStep(detector, modality=modality, quirks=stage.quirks, processes=all_processes(stage.fabric))
    ...
