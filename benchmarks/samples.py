"""Time of one augmented training sample against Pillow decoding the same image, and how it scales with workers.

Every round times each part once on the next frame, so that all parts see the same machine; the ratio is the median over
rounds of the ratios within a round.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
from PIL import Image
from rich.console import Console
from rich.table import Table

from monokd.kitti.frames import KittiFolder, read_image, read_stored_depth
from monokd.samples.dataset import Frames
from monokd.samples.loader import build_loader

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 60
PUBLISHED, DEMO = (384, 1280), (128, 416)


def main() -> None:
    cv2.setNumThreads(1)
    found = find_frames()
    if found is None:
        print("no frames with dense depth: set MONOKD_KITTI, or make the demo's by `make repro`")
        return
    folder, depth = found
    ids = sorted(path.stem for path in depth.glob("*.png"))[:100]
    Console().print(one_sample(folder, depth, ids), throughput(folder, depth, ids))


def find_frames() -> tuple[KittiFolder, Path] | None:
    """Real frames if there are any, else the demo's."""
    real = KittiFolder(Path(os.environ.get("MONOKD_KITTI", ROOT.parent / "shared" / "kitti")))
    choices = [(real, real.folder / "depth_dense"), (KittiFolder(ROOT / "data/demo"), ROOT / "data/depth")]
    return next(((folder, depth) for folder, depth in choices if depth.is_dir()), None)


def one_sample(folder: KittiFolder, depth: Path, ids: list[str]) -> Table:
    files, kept = (_frames(folder, depth, ids, PUBLISHED, cache) for cache in (False, True))
    small = _frames(folder, depth, ids, DEMO, True)
    parts: dict[str, Callable[[int, int], object]] = {
        "Pillow decodes the image": lambda _, i: Image.open(folder.image(ids[i])).load(),
        "we decode the image": lambda _, i: read_image(folder.image(ids[i])),
        "we decode the depth map": lambda _, i: read_stored_depth(depth / f"{ids[i]}.png"),
        "sample, files cached, 384×1280": lambda epoch, i: kept[epoch, i],
        "sample, files cached, 128×416": lambda epoch, i: small[epoch, i],
        "sample from files, 384×1280": lambda epoch, i: files[epoch, i],
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(-len(ids), ROUNDS):  # the first pass over the frames warms up
        for name, part in parts.items():
            start = time.perf_counter()
            part(turn % 7, turn % len(ids))
            if turn >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    base = times["Pillow decodes the image"]
    table = Table("one frame, augmented, with targets", "median ms", "least ms", "× Pillow", title=str(folder.folder))
    for name, values in times.items():
        ratio = median(ours / pillow for ours, pillow in zip(values, base, strict=True))
        table.add_row(name, f"{median(values):.2f}", f"{min(values):.2f}", f"{ratio:.2f}")
    return table


def throughput(folder: KittiFolder, depth: Path, ids: list[str]) -> Table:
    frames = _frames(folder, depth, ids * (64 // len(ids) + 1), PUBLISHED, False)
    table = Table("loader workers", "samples a second", "× without", title="batches of 8, 384×1280, from files")
    alone = 0.0
    for workers in (0, 1, 2, 4):
        if workers > 1 and workers > len(os.sched_getaffinity(0)):
            continue
        loader = build_loader(frames, batch_size=8, training=True, workers=workers)
        for _ in loader.batches(0):
            pass
        start = time.perf_counter()
        count = sum(len(batch.frames) for batch in loader.batches(1))
        rate = count / (time.perf_counter() - start)
        alone = alone or rate
        table.add_row(str(workers), f"{rate:.0f}", f"{rate / alone:.2f}")
    return table


def _frames(folder: KittiFolder, depth: Path, ids: list[str], size: tuple[int, int], cache: bool) -> Frames:
    return Frames(
        folder, ids, depth_dir=depth, labels=True, height_px=size[0], width_px=size[1], augment=True, cache=cache
    )


if __name__ == "__main__":
    main()
