"""What a synthetic frame costs on one core, step by step: `python benchmarks/scenes.py [--frames N] [--size W H]`.

Prints the median processor time of each step over N frames, 1242×375 by default, and what whole frames cost with
their files written (wall time, median and mean).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
from rich.console import Console
from rich.table import Table

from monokd.scenes import generate
from monokd.scenes.generate import render_frame, write_frame
from monokd.scenes.settings import SceneSettings

STEPS = (
    "sample_road",
    "sample_objects",
    "sample_clutter",
    "assemble",
    "rasterise",
    "lit",
    "shade",
    "scan_world",
    "label_lines",
)


def timed(name: str, seconds: dict[str, list[float]]) -> None:
    """Make `generate`'s function `name` note its processor time."""
    inner: Callable[..., object] = getattr(generate, name)

    def outer(*arguments: object, **keywords: object) -> object:
        start = time.process_time()
        try:
            return inner(*arguments, **keywords)
        finally:
            seconds[name].append(time.process_time() - start)

    setattr(generate, name, outer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(1242, 375), metavar=("W", "H"))
    options = parser.parse_args()
    count = options.frames
    cv2.setNumThreads(1)
    settings = SceneSettings(width_px=options.size[0], height_px=options.size[1])
    start = time.perf_counter()
    render_frame(0, 0, settings)
    first = time.perf_counter() - start
    walls, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            start, busy = time.perf_counter(), time.process_time()
            write_frame(Path(folder), 0, settings, number)
            walls.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / count
    seconds: dict[str, list[float]] = defaultdict(list)
    for name in STEPS:
        timed(name, seconds)
    encoding = []
    for number in range(count):
        image = cv2.cvtColor(render_frame(0, number, settings).image, cv2.COLOR_RGB2BGR)
        start = time.process_time()
        cv2.imencode(".png", image, generate.PNG_SETTINGS)
        encoding.append(time.process_time() - start)
    table = Table("step", "median ms", title=f"{count} frames of {settings.width_px}×{settings.height_px}, one core")
    for name in STEPS:
        table.add_row(name, f"{1e3 * statistics.median(seconds[name]):.1f}")
    table.add_row("PNG encoding", f"{1e3 * statistics.median(encoding):.1f}")
    table.add_row("whole frame with files, processor", f"{1e3 * statistics.median(processor):.1f}")
    table.add_row("whole frame with files, wall", f"{1e3 * statistics.median(walls):.1f}")
    table.add_row("the same, mean", f"{1e3 * statistics.mean(walls):.1f}")
    Console().print(table)
    print(f"first frame, compiling or loading compiled code: {first:.1f} s; {size / 1e6:.2f} MB a frame")


if __name__ == "__main__":
    main()
