"""What an augmented training sample costs: processor time by part, bytes that travel, samples a second by workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import torch
from rich.console import Console
from rich.table import Table

from monokd.kitti.frames import KittiFolder, read_image, read_stored_depth
from monokd.samples.augment import Augmentation
from monokd.samples.batch import collate, tensors_of
from monokd.samples.constants import Modality
from monokd.samples.dataset import Frames, InputSettings
from monokd.samples.loader import BATCHES_AHEAD, build_loader

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, BATCH, FRAMES = 40, 8, 64
PUBLISHED, DEMO = (384, 1280), (96, 320)


def main() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    real = KittiFolder(Path(os.environ.get("MONOKD_KITTI", ROOT.parent / "shared" / "kitti")))
    choices = [(real, real.folder / "depth_dense"), (KittiFolder(ROOT / "data/demo"), ROOT / "data/depth")]
    found = next(((folder, depth) for folder, depth in choices if depth.is_dir()), None)
    if found is None:
        print("no frames with dense depth: set MONOKD_KITTI, or make the demo's by `make repro`")
        return
    ids = sorted(path.stem for path in found[1].glob("*.png"))[:FRAMES]
    Console().print(one_sample(*found, ids), sent(*found, ids), throughput(*found, ids))


def one_sample(folder: KittiFolder, depth: Path, ids: list[str]) -> Table:
    kept, small = (frames(folder, depth, ids, size, cache=True) for size in (PUBLISHED, DEMO))
    files, batch = frames(folder, depth, ids, PUBLISHED), collate([kept[0, 0]])
    parts: dict[str, Callable[[int, int], object]] = {
        "decode the image": lambda _, i: read_image(folder.image(ids[i])),
        "decode the depth map": lambda _, i: read_stored_depth(depth / f"{ids[i]}.png"),
        "sample of cached files, 384×1280": lambda epoch, i: kept[epoch, i],
        "sample of cached files, 96×320": lambda epoch, i: small[epoch, i],
        "sample from files, 384×1280": lambda epoch, i: files[epoch, i],
        "input of the image, on this processor": lambda *_: batch.input("image"),
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(-len(ids), ROUNDS):  # the first pass over the frames warms up
        for name, part in parts.items():
            start = time.process_time()
            part(turn % 7, turn % len(ids))
            if turn >= 0:
                times[name].append(1e3 * (time.process_time() - start))
    table = Table("one frame, one core", "median ms", "least ms", "a second", title=str(folder.folder))
    for name, ms in times.items():
        table.add_row(name, f"{median(ms):.2f}", f"{min(ms):.2f}", f"{1e3 / median(ms):.0f}")
    return table


def sent(folder: KittiFolder, depth: Path, ids: list[str]) -> Table:
    table = Table(
        "inputs", "MB a sample", "MB in /dev/shm a worker", title=f"what travels, batches of {BATCH}, 384×1280"
    )
    for modalities in (("image", "depth"), ("image",), ("depth",)):
        sample = frames(folder, depth, ids, PUBLISHED, modalities=modalities)[0, 0]
        size = sum(tensor.nbytes for tensor in tensors_of(collate([sample]))) / 1e6
        table.add_row(" and ".join(modalities), f"{size:.2f}", f"{size * BATCH * BATCHES_AHEAD:.0f}")
    return table


def throughput(folder: KittiFolder, depth: Path, ids: list[str]) -> Table:
    samples = frames(folder, depth, ids * (FRAMES // len(ids) + 1), PUBLISHED)
    table = Table("loader workers", "samples a second", title=f"batches of {BATCH}, 384×1280, from files")
    for workers in (count for count in (0, 1, 2, 4, 8, 16) if count <= len(os.sched_getaffinity(0))):
        loader = build_loader(samples, batch_size=BATCH, training=True, workers=workers)
        for _ in loader.batches(0):  # starts the workers and loads compiled code
            pass
        start = time.perf_counter()
        count = sum(len(batch.frames) for batch in loader.batches(1))
        table.add_row(str(workers), f"{count / (time.perf_counter() - start):.0f}")
    return table


def frames(
    folder: KittiFolder,
    depth: Path,
    ids: list[str],
    size: tuple[int, int],
    *,
    modalities: tuple[Modality, ...] = ("image", "depth"),
    cache: bool = False,
) -> Frames:
    settings = InputSettings(*size, modalities=modalities)
    return Frames(folder, ids, settings, depth_dir=depth, labels=True, augmentation=Augmentation(), cache=cache)


if __name__ == "__main__":
    main()
