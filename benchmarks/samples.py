"""The data path: one augmented sample against Pillow decoding its image, samples a second and per core, bytes moved.

    python benchmarks/samples.py [KITTI_ROOT DEPTH] [--batch 16] [--workers 0 1 2]

Times of one sample are of one core, ways in turns, ratios taken within a round. Loaders give batches at the published
size, from files, without a network behind; processor time is that of all processes. Without frames some are made.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import cv2
import torch
from measure import KITTI, Row, in_turns, make_frames, show
from PIL import Image

from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_image, read_stored_depth
from monokd.samples.augment import Augmentation
from monokd.samples.batch import collate, tensors_of
from monokd.samples.dataset import Frames, InputSettings
from monokd.samples.loader import BATCHES_AHEAD, build_loader

PUBLISHED = (384, 1280)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=KITTI)
    parser.add_argument("depth", nargs="?", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        root, depth = KittiFolder(options.root), options.depth or options.root / "depth_dense"
        if not depth.is_dir():
            depth = Path(name) / "depth"
            root = make_frames(Path(name) / "kitti", depth, 16)
        show(f"one frame of {root.folder}, augmented, with targets, one core", one_sample(root, depth))
        show("bytes", moved(root, depth, options.batch))
        for source, cache in (("files", False), ("memory (machine.cache_images)", True)):
            rows = [loader_row(root, depth, options.batch, 8, workers, cache=cache) for workers in options.workers]
            show(f"loader, batches of {options.batch}, from {source}", rows)


def frames_of(
    root: KittiFolder, depth: Path, size: tuple[int, int] = PUBLISHED, *, count: int = 0, cache: bool = False
) -> Frames:
    """The frames that have depth, again from the start where more are wanted."""
    names = sorted(path.stem for path in depth.glob("*.png"))
    return Frames(
        root, list(islice(cycle(names), count or len(names))), InputSettings(*size, depth_scaled_twice=False),
        depth_dir=depth, labels=True, augmentation=Augmentation(), cache=cache,
    )  # fmt: skip


def one_sample(root: KittiFolder, depth: Path, rounds: int = 40) -> list[Row]:
    """Every round times each way once on the next frame."""
    files, kept = frames_of(root, depth), frames_of(root, depth, cache=True)
    names = files.frames
    ways: dict[str, Callable[[int], object]] = {
        "Pillow decodes the image": lambda i: Image.open(root.image(names[i])).load(),
        "image decoded": lambda i: read_image(root.image(names[i])),
        "depth map decoded": lambda i: read_stored_depth(depth / f"{names[i]}.png"),
        "sample, files cached": lambda i: kept[0, i],
        "sample from files": lambda i: files[0, i],
    }
    on_next = {name: map(way, cycle(range(len(names)))).__next__ for name, way in ways.items()}
    seconds = in_turns(on_next, rounds)
    pillow = seconds["Pillow decodes the image"]
    return [
        {"way": name, "ms": 1e3 * median(times), "least": 1e3 * min(times),
         "× Pillow": median(own / base for own, base in zip(times, pillow, strict=True))}
        for name, times in seconds.items()
    ]  # fmt: skip


def moved(root: KittiFolder, depth: Path, batch_size: int, size: tuple[int, int] = PUBLISHED) -> list[Row]:
    """What a sample weighs on its way to the device, and what waits in /dev/shm."""
    frames = frames_of(root, depth, size)
    batch = collate([frames[0, index % len(frames)] for index in range(batch_size)])
    total, inputs = (sum(t.nbytes for t in tensors) for tensors in (tensors_of(batch), batch.inputs.values()))
    pixels = ", ".join(f"{m} {t.shape[1]}×{str(t.dtype).removeprefix('torch.')}" for m, t in batch.inputs.items())
    return [
        {"what": f"a sample to the device ({pixels})", "MB": total / batch_size / 1e6},
        {"what": "of that targets and the rest", "MB": (total - inputs) / batch_size / 1e6},
        {"what": f"a batch of {batch_size} in /dev/shm", "MB": total / 1e6},
        {"what": f"up to {BATCHES_AHEAD} batches of each worker wait there", "MB": BATCHES_AHEAD * total / 1e6},
    ]


def loader_row(
    root: KittiFolder, depth: Path, batch_size: int, batches: int, workers: int, *, device: str = "cpu",
    size: tuple[int, int] = PUBLISHED, cache: bool = False,
) -> Row:  # fmt: skip
    """Samples a second that a loader gives on a device, and the processor time of each."""
    frames = frames_of(root, depth, size, count=batch_size * batches, cache=cache)
    loader = build_loader(frames, batch_size=batch_size, seed=0, workers=workers, device=torch.device(device))
    for _ in loader.batches(0):  # starts the workers and loads compiled code
        pass
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split() if loader.workers else []
    processes = [os.getpid(), *map(int, children)]
    began, used = time.perf_counter(), processor_s(processes)
    number = sum(len(batch.frames) for batch in loader.batches(1))
    seconds, busy = time.perf_counter() - began, processor_s(processes) - used
    row: Row = {"workers": loader.workers, "samples a second": number / seconds}
    return row | {"ms of a core": 1e3 * busy / number, "a second and core": number / busy}


def processor_s(processes: Sequence[int]) -> float:
    """Processor time of these processes so far (Linux)."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
