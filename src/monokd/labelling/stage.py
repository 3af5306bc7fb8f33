"""The label stage, composed: parameters in, label files and their quality out."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from monokd.errors import DataError, say
from monokd.inference.predict import detect, pick_device
from monokd.kitti.frames import FrameSource, KittiFolder
from monokd.kitti.labels import read_labels, read_results, write_results
from monokd.kitti.objects import Objects, from_rows
from monokd.kitti.splits import split_files
from monokd.labelling.quality import Thresholds, choose_thresholds, match, quality
from monokd.models.arithmetic import set_tf32, set_threads
from monokd.models.checkpoint import load_detector
from monokd.params import Params
from monokd.roles import held_out_frames, unlabelled_frames
from monokd.samples.dataset import Frames
from monokd.training.data import DEPTH, DEPTH_UNLABELLED

LEAST_PEAK = 0.02  # of the heatmap: uncertain boxes are wanted too
WHOLE_IMAGE_PX = (0.0, 0.0, 16_384.0, 16_384.0)
Figures = dict[str, float | int | str | None]


def label_unlabelled(params: Params, out: Path) -> Figures:
    """Write a label file for every frame of the unlabelled split and return the quality of the boxes in them.

    `profiles.P.unlabelled` says whose boxes they are; the folder `out` is emptied first.

    Where no score is given, both are chosen on the held-out frames, and how good the boxes are there is returned too.

    Raises:
        DataError: frames or boxes missing.
    """
    (source, frames), settings = unlabelled_frames(params), params.active.unlabelled
    figures: Figures = {"frames": len(frames), "boxes": settings.boxes}
    if not frames or settings.boxes == "none":
        write_frames(out, ((frame, nothing_known()) for frame in frames))
        return figures
    if settings.boxes == "labels":
        labels = [_true_labels(source, frame) for frame in frames]
    else:
        thresholds, held_out = _thresholds(params)
        figures |= held_out
        found = _boxes(params, source, frames, DEPTH_UNLABELLED)
        labels = [as_labels(objects, thresholds, score_weights=settings.score_weights) for objects in found]
    write_frames(out, zip(frames, labels, strict=True))
    sure = [objects.select(np.isin(objects.names, params.active.data.classes)) for objects in labels]
    figures["boxes_a_frame"] = sum(map(len, sure)) / len(frames)
    if isinstance(source, KittiFolder) and all(source.hidden_label(frame).is_file() for frame in frames):
        hidden = [read_labels(source.hidden_label(frame)) for frame in frames]
        figures |= quality(match(sure, hidden, params.active.data.classes))
    return figures


def _thresholds(params: Params) -> tuple[Thresholds, Figures]:
    """Return the scores that `unlabelled` gives, or those chosen on the labelled frames that the teacher never saw.

    With them, what they are, and if chosen, on how many labels, and how good the boxes are there.
    """
    settings = params.active.unlabelled
    if settings.keep_score is not None:
        ignore = settings.keep_score if settings.ignore_score is None else settings.ignore_score
        return Thresholds(settings.keep_score, ignore), {"keep_score": settings.keep_score, "ignore_score": ignore}
    frames = held_out_frames(params)
    if settings.boxes == "baseline":
        say("label: the baseline trained on the held-out frames too; a keep_score of your own may suit it better")
    source = split_files(params.data_root, params.active.data.train_split)
    found, classes = _boxes(params, source, frames, DEPTH), params.active.data.classes
    labels = [read_labels(source.label(frame)) for frame in frames]
    chosen = choose_thresholds(match(found, labels, classes), match(found, labels, classes, in_image=True))
    if settings.ignore_score is not None:
        chosen = chosen._replace(ignore=min(settings.ignore_score, chosen.keep))
    if not np.isfinite(chosen.keep):
        say("label: not one box on the held-out frames is right, so nothing is known of the frames without labels")
        return chosen, {"keep_score": None, "ignore_score": None}
    kept = match([objects.select(objects.scores >= chosen.keep) for objects in found], labels, classes)
    figures: Figures = {"keep_score": chosen.keep, "ignore_score": chosen.ignore, "held_out_labels": kept.labels}
    return chosen, figures | {f"held_out_{name}": value for name, value in quality(kept).items()}


def _boxes(params: Params, source: FrameSource, frames: Sequence[str], depth: Path) -> list[Objects]:
    """Return the boxes of every frame, of the parameters' classes: from files, or found by a detector."""
    settings, classes = params.active.unlabelled, params.active.data.classes
    if settings.boxes == "files":
        found = [read_results(Path(settings.files) / f"{frame}.txt") for frame in frames]
        names = {name for objects in found for name in objects.names}
        if not names & set(classes):
            reason = f"of {', '.join(classes)}, found {', '.join(sorted(names)) or 'none'} in {len(frames)} files"
            raise DataError(f"unlabelled.files: expected boxes {reason}", settings.files)
    else:
        detector, info = load_detector(Path("data/models") / f"{settings.boxes}.safetensors")
        samples = Frames(source, frames, info.input_settings(), depth_dir=depth)
        machine, size = params.active.machine, params.active.predict.batch_size
        set_tf32(machine.tf32)
        set_threads(machine.threads)
        results = detect(
            detector, samples, modality=info.modality, score_threshold=LEAST_PEAK, batch_size=size,
            device=pick_device(machine.accelerator),
        )  # fmt: skip
        found = [objects for _, objects in results]
    return [objects.select(np.isin(objects.names, classes)) for objects in found]


def _true_labels(source: FrameSource, frame: str) -> Objects:
    """Return the frame's own labels, for the ceiling of what a teacher can give; each has the score, or weight, 1."""
    path = source.hidden_label(frame) if isinstance(source, KittiFolder) else None
    if path is None or not path.is_file():
        raise DataError("unlabelled.boxes: expected labels for `labels`, found none", path)
    objects = read_labels(path)
    return replace(objects, scores=np.ones(len(objects)))


def as_labels(found: Objects, thresholds: Thresholds, *, score_weights: bool = False) -> Objects:
    """Turn detections into labels: sure ones stay, uncertain ones become DontCare regions, the rest goes.

    The score of a label is its weight in training: that of the detection, or 1. Where no score is high enough to be
    sure (infinity), nothing is known.
    """
    if np.isinf(thresholds.keep):
        return nothing_known()
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
