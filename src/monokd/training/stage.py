"""Training one detector, composed: parameters in, weights and history out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames, split_half
from monokd.losses.replicas import Replicas
from monokd.losses.task_weights import TaskWeights
from monokd.models.checkpoint import DetectorInfo, load_backbone, save_detector
from monokd.models.detector import Detector, build_detector
from monokd.params import Params, Training
from monokd.quirks import Quirks
from monokd.samples.augment import Augmentation
from monokd.samples.constants import Modality
from monokd.samples.dataset import Frames, InputSettings
from monokd.samples.loader import EpochLoader, build_loader
from monokd.training.batch_norm import synchronise
from monokd.training.devices import replicas_of, start
from monokd.training.loop import fit
from monokd.training.schedule import build_optimiser, learning_rate
from monokd.training.state import checkpoint_folder, fingerprint
from monokd.training.steps import DetectionStep, TrainingStep
from monokd.training.validation import validation_losses
from monokd.training.weights import TermWeights

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEPTH = Path("data/depth")


def train_detector(
    params: Params, stage: Literal["teacher", "baseline"], *, out: Path, history: Path, depth: Path = DEPTH
) -> None:
    """Train one detector from scratch, or from an ImageNet backbone: the teacher on depth, the baseline on images.

    Args:
        params: the whole tree.
        stage: which of the two; its schedule is `profiles.P.STAGE`.
        out: the safetensors file.
        history: the CSV file.
        depth: the folder of dense depth PNGs.

    Raises:
        DataError: data missing or broken, or a loss that is not finite.
    """
    profile, quirks = params.active, params.resolved_quirks()
    settings: Training = getattr(profile, stage)
    sees: Modality = "depth" if stage == "teacher" else "image"
    fabric = start(accelerator=profile.machine.accelerator, precision=profile.machine.precision, seed=params.seed)
    detector = _new_detector(params, quirks)
    step = DetectionStep(
        detector, sees=sees, nan_without_depth=quirks.nan_without_depth, replicas=loss_replicas(fabric, quirks)
    )
    state = train_stage(
        params, stage, settings, step, fabric=fabric, distillation={}, history=history, depth=depth, starts=()
    )
    if fabric.is_global_zero:
        save_detector(detector, out, detector_info(params, quirks, "depth" if sees == "depth" else "rgb"))
        shutil.rmtree(state)


def train_stage(
    params: Params,
    stage: str,
    settings: Training,
    step: TrainingStep,
    *,
    fabric: Fabric,
    distillation: Mapping[str, float],
    history: Path,
    depth: Path,
    starts: Sequence[Path],
) -> Path:
    """Train `step` in place and return the folder of the saved state, to be removed once the weights are written."""
    profile, quirks = params.active, params.resolved_quirks()
    machine = profile.machine
    if machine.sync_batch_norm and fabric.world_size > 1:
        synchronise(step, replicas_of(fabric).total, cuda=fabric.device.type == "cuda")
    if machine.channels_last:
        step.arrange(torch.channels_last)
    optimiser = build_optimiser(
        step, kind=settings.optimiser, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    loader = _training_loader(params, settings, depth, fabric)
    validation = _validation_loader(params, stage, settings, depth, fabric)
    key = ""
    if fabric.is_global_zero:  # it reads all the data
        key = fingerprint(settings=_identity(params, stage), files=(*_training_files(params, loader, depth), *starts))
    key = fabric.broadcast(key)
    folder = checkpoint_folder(stage, key, writes=fabric.is_global_zero)
    fit(
        step,
        loader,
        fabric=fabric,
        optimiser=optimiser,
        rate=_rate(settings),
        weights=TermWeights(_task_weights(settings, quirks, tuple(distillation)), distillation),
        epochs=settings.epochs,
        gradient_clip=settings.gradient_clip,
        accumulate=settings.accumulate,
        compiled=machine.compile,
        checkpoint=folder / "state.pt",
        history=history,
        description=stage,
        evaluate=None if validation is None else partial(validation_losses, step.alone(), validation, fabric),
        evaluate_every=settings.evaluate_every,
    )
    return folder


def _training_loader(params: Params, settings: Training, depth: Path, fabric: Fabric) -> EpochLoader:
    return _loader(params, params.active.data.train_split, settings, depth, fabric, training=True)


def _validation_loader(
    params: Params, stage: str, settings: Training, depth: Path, fabric: Fabric
) -> EpochLoader | None:
    """The validation frames, where losses on them are wanted."""
    if not settings.evaluate_every:
        return None
    split = params.active.data.val_split
    if not has_labels(split):
        reason = f"expected 0 where data.val_split is {split}, which has no labels, found {settings.evaluate_every}"
        raise DataError(f"profiles.{params.profile}.{stage}.evaluate_every: {reason}", "params.yaml")
    return _loader(params, split, settings, depth, fabric, training=False)


def _loader(
    params: Params, split: str, settings: Training, depth: Path, fabric: Fabric, *, training: bool
) -> EpochLoader:
    profile, root = params.active, params.data_root
    data = profile.data
    augmentation = Augmentation(params.seed, settings.flip, settings.crop, settings.jitter)
    frames = Frames(
        KittiFolder(root, split_half(split)),
        split_frames(root, split),
        InputSettings(data.height_px, data.width_px, data.classes, params.resolved_quirks().depth_scaled_twice),
        depth_dir=depth,
        labels=True,
        augmentation=augmentation if training else None,
        cache=profile.machine.cache_images,
    )
    return build_loader(
        frames,
        batch_size=settings.batch_size,
        training=training,
        seed=params.seed,
        workers=profile.machine.workers,
        device=fabric.device,
        process=(fabric.global_rank, fabric.world_size),
    )


def _training_files(params: Params, loader: EpochLoader, depth: Path) -> list[Path]:
    """The files that decide the weights beside the parameters: what the frames are made from, and the backbone."""
    folder, frames = KittiFolder(params.data_root), loader.frames.frames
    backbone = params.active.model.backbone_file
    of_frames = [(folder.image(f), folder.calibration(f), folder.label(f), depth / f"{f}.png") for f in frames]
    return [path for paths in of_frames for path in paths] + ([Path(backbone)] if backbone else [])


def _new_detector(params: Params, quirks: Quirks) -> Detector:
    model = params.active.model
    detector = build_detector(
        model.width, anisotropic_decode=quirks.anisotropic_decode, clamped_heights=quirks.clamped_heights
    )
    if model.backbone_file:
        load_backbone(detector, model.backbone_file, model.backbone_sha256 or None)
    return detector


def detector_info(params: Params, quirks: Quirks, kind: str) -> DetectorInfo:
    """What the file of a trained detector says about itself."""
    return DetectorInfo(
        width=params.active.model.width,
        kind=kind,
        classes=params.active.data.classes,
        anisotropic_decode=quirks.anisotropic_decode,
        clamped_heights=quirks.clamped_heights,
        height_px=params.active.data.height_px,
        width_px=params.active.data.width_px,
    )


def loss_replicas(fabric: Fabric, quirks: Quirks) -> Replicas:
    """The processes that normalise losses together: all, or each alone (quirk Q5)."""
    return Replicas() if quirks.per_replica_normaliser else replicas_of(fabric)


def _rate(settings: Training) -> partial[float]:
    return partial(
        learning_rate,
        kind=settings.schedule,
        base=settings.learning_rate,
        epochs=settings.epochs,
        warmup_epochs=settings.warmup_epochs,
        decay_epochs=settings.decay_epochs,
    )


def _task_weights(settings: Training, quirks: Quirks, distillation_terms: tuple[str, ...]) -> TaskWeights:
    return TaskWeights(
        enabled=settings.task_weights,
        shifted_task_history=quirks.shifted_task_history,
        unbounded_trends=quirks.unbounded_trends,
        distillation_terms=distillation_terms,
    )


def _identity(params: Params, stage: str) -> dict[str, object]:
    """Every parameter that decides the weights of `stage`."""
    profile = params.active
    identity: dict[str, object] = {
        "stage": stage,
        "profile": params.profile,
        "seed": params.seed,
        "quirks": repr(params.resolved_quirks()),
        "data": profile.data.model_dump(),
        "model": profile.model.model_dump(),
        "precision": profile.machine.precision,
        "sync_batch_norm": profile.machine.sync_batch_norm,
        "training": getattr(profile, stage).model_dump(),
    }
    return identity | ({"weights": params.loss_weights.model_dump()} if stage == "student" else {})
