"""What a synthetic frame costs on one core, step by step: `python benchmarks/scenes.py [--frames N] [--size W H]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import cv2
from measure import in_turns, show

from monokd.scenes import generate
from monokd.scenes.settings import SceneSettings

STEPS = (
    "sample_road", "sample_objects", "sample_clutter", "assemble", "rasterise", "shade", "scan_world",
    "label_lines",
)  # fmt: skip


def timed(inner: Callable[..., object], seconds: list[float], *arguments: object, **keywords: object) -> object:
    """Call a function and note its processor time."""
    began = time.process_time()
    try:
        return inner(*arguments, **keywords)
    finally:
        seconds.append(time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(1242, 375), metavar=("W", "H"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings, numbers = SceneSettings(width_px=options.size[0], height_px=options.size[1]), count()
    steps: dict[str, list[float]] = defaultdict(list)
    for name in STEPS:
        setattr(generate, name, partial(timed, getattr(generate, name), steps[name]))
    with tempfile.TemporaryDirectory() as folder:
        whole = in_turns({"": lambda: generate.write_frame(Path(folder), 0, settings, next(numbers))}, options.frames)[
            ""
        ]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / (options.frames + 1)
    rows = [{"step": name, "median ms of a core": 1e3 * median(times)} for name, times in steps.items()]
    show(
        f"{options.frames} frames, {size / 1e6:.2f} MB each",
        [*rows, {"step": "all, with files", "median ms of a core": 1e3 * median(whole)}],
    )


if __name__ == "__main__":
    main()
