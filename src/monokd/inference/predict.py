"""A detector over frames, into KITTI text."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch

from monokd.errors import DataError
from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import DetectorInfo
from monokd.models.decode import decode
from monokd.models.detector import Detector
from monokd.models.folded import folded
from monokd.progress import track
from monokd.samples.dataset import Frames, FrameSource, InputSettings
from monokd.samples.loader import build_loader

PUBLISHED_DECIMALS, DECIMALS = 2, 6


def detect(
    detector: Detector,
    frames: Frames,
    *,
    sees_depth: bool,
    anisotropic_decode: bool,
    score_threshold: float,
    batch_size: int,
    drop_last: bool = False,
    workers: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[str, Objects]]:
    """The objects of every frame, in order.

    Args:
        detector: a copy of it runs, laid out for speed.
        frames: without augmentation.
        sees_depth: the input is the frames' depth, not their image.
        anisotropic_decode: quirk Q7.
        score_threshold: lowest peak.
        batch_size: frames at a time.
        drop_last: quirk Q6, leave out a last batch that is not full.
        workers: processes that read.
        device: default the CPU.

    Raises:
        DataError: a frame's file is missing or broken.
    """
    device = device or torch.device("cpu")
    fast = folded(detector).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loader = build_loader(
        frames, batch_size=batch_size, training=False, drop_last=drop_last, workers=workers, device=device
    )
    with torch.inference_mode():
        for batch in track(loader.batches(0), "predict", len(loader)):
            moved = batch.to(device)
            output = fast(moved.input("depth" if sees_depth else "image"), moved.P2, moved.coord_range_px)
            found = decode(
                output,
                moved.P2,
                moved.coord_range_px,
                anisotropic_decode=anisotropic_decode,
                score_threshold=score_threshold,
            )
            yield from zip(batch.frames, found, strict=True)


def detect_images(
    detector: Detector,
    info: DetectorInfo,
    files: FrameSource,
    names: Sequence[str],
    *,
    published: bool,
    score_threshold: float,
    batch_size: int,
) -> Iterator[tuple[str, Objects]]:
    """What a saved detector of images finds, on the best device at hand; see `detect`.

    Args:
        detector: as `load_detector` gives it.
        info: what its file says.
        files: where the frames' files lie.
        names: of the frames.
        published: decode as published (quirk Q7).
        score_threshold: lowest peak.
        batch_size: frames at a time.
    """
    frames = Frames(files, names, InputSettings(info.height_px, info.width_px))
    return detect(
        detector,
        frames,
        sees_depth=False,
        anisotropic_decode=published,
        score_threshold=score_threshold,
        batch_size=batch_size,
        device=pick_device("auto"),
    )


def write_predictions(
    out: Path,
    found: Iterator[tuple[str, Objects]],
    *,
    classes: tuple[str, ...],
    two_decimal_scores: bool,
    keep_others: bool = False,
) -> int:
    """Write OUT/FRAME.txt for every frame, objects of `classes` only, an empty file where there are none.

    Args:
        out: a folder; files of an earlier run in it are removed, unless `keep_others`.
        found: frames and their objects.
        classes: names to keep.
        two_decimal_scores: quirk Q13.
        keep_others: leave what else is in the folder, which may be the user's own.

    Returns:
        How many frames were written.
    """
    if not keep_others:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for frame, objects in found:
        kept = objects.select(torch.tensor([name in classes for name in objects.names], dtype=torch.bool).numpy())
        write_results(out / f"{frame}.txt", kept, score_decimals=score_decimals(two_decimal_scores))
        count += 1
    return count


def score_decimals(two_decimal_scores: bool) -> int:
    """Digits of scores after the point (quirk Q13)."""
    return PUBLISHED_DECIMALS if two_decimal_scores else DECIMALS


def is_published(behaviour: str) -> bool:
    """Whether a command decodes as published.

    Raises:
        DataError: neither `published` nor `corrected`.
    """
    if behaviour not in ("published", "corrected"):
        raise DataError(f"--behaviour: expected published or corrected, found {behaviour!r}")
    return behaviour == "published"


def pick_device(accelerator: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device that one process uses: the GPU where there is one and it is allowed."""
    if accelerator == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")
