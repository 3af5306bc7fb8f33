"""A detector over frames, into KITTI text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from monokd.errors import DataError
from monokd.kitti.frames import FrameSource
from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects
from monokd.models.arithmetic import from_torchrun, pick_accelerator
from monokd.models.checkpoint import DetectorInfo
from monokd.models.decode import decode
from monokd.models.detector import Detector
from monokd.models.fold_bn import fold_bn
from monokd.progress import track
from monokd.samples.dataset import Frames
from monokd.samples.loader import build_loader
from monokd.typing import Modality

SCORE_DECIMALS = 6
Accelerator = Literal["auto", "cpu", "cuda"]


def detect(
    detector: Detector,
    frames: Frames,
    *,
    modality: Modality,
    score_threshold: float,
    batch_size: int,
    workers: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[str, Objects]]:
    """Yield the id and the objects of every frame, in order.

    A copy of the detector runs, laid out for speed, on the CPU where no `device` is given. `score_threshold` is the
    lowest peak; `workers` processes read, see `loader_workers`. DataError where a frame's file is missing or broken.
    """
    device = device or torch.device("cpu")
    fast = fold_bn(detector).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loader = build_loader(frames, batch_size=batch_size, workers=workers)
    with torch.inference_mode():
        for batch in track(loader.batches(0), "predict", len(loader)):
            moved = batch.to(device)
            output = fast(moved.input(modality), moved.P2, moved.coord_range_px)
            found = decode(fast, output, moved.P2, moved.coord_range_px, score_threshold=score_threshold)
            yield from zip(batch.frames, found, strict=True)


def detect_images(
    detector: Detector,
    info: DetectorInfo,
    files: FrameSource,
    names: Sequence[str],
    *,
    score_threshold: float,
    workers: int = 0,
    accelerator: Accelerator = "auto",
    batch_size: int = 4,
) -> Iterator[tuple[str, Objects]]:
    """Yield what a saved detector, as `load_detector` gives it, finds in images of any size; see `detect`."""
    device = pick_device(accelerator)
    frames = Frames(files, names, info.input_settings())
    return detect(
        detector, frames, modality="image", score_threshold=score_threshold, batch_size=batch_size, workers=workers,
        device=device,
    )  # fmt: skip


def write_predictions(
    out: Path, found: Iterator[tuple[str, Objects]], *, classes: Sequence[str], score_decimals: int = SCORE_DECIMALS
) -> int:
    """Write OUT/FRAME.txt for every frame and count them: objects of `classes` only, an empty file without any.

    What else is in the folder stays. Scores have `score_decimals` digits after the point (2 as published, quirk Q13).
    """
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for frame, objects in found:
        kept = objects.select(np.array([name in classes for name in objects.names], dtype=bool))
        write_results(out / f"{frame}.txt", kept, score_decimals=score_decimals)
        count += 1
    return count


def full_batches(names: Sequence[str], batch_size: int) -> list[str]:
    """The frames that fill whole batches: all that the published validation predicts (quirk Q6), or DataError."""
    if len(names) < batch_size:
        raise DataError(f"drop_last_validation: expected at least one full batch of {batch_size}, found {len(names)}")
    return list(names[: len(names) // batch_size * batch_size])


def processes() -> tuple[int, int]:
    """This process's number and how many there are, as torchrun says (RANK, WORLD_SIZE); 0 and 1 without it."""
    return from_torchrun("RANK", 0), from_torchrun("WORLD_SIZE")


def share_of_process(names: Sequence[str]) -> list[str]:
    """The frames of this process: every frame goes to exactly one of the processes that torchrun started."""
    rank, count = processes()
    return list(names[rank::count])


def pick_device(accelerator: Accelerator) -> torch.device:
    """The device of this process: the GPU with its number on this machine, or the CPU; see `pick_accelerator`."""
    cuda = pick_accelerator(accelerator, from_torchrun("LOCAL_WORLD_SIZE")) == "cuda"
    return torch.device("cuda", from_torchrun("LOCAL_RANK", 0)) if cuda else torch.device("cpu")
