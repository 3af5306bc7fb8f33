"""KITTI evaluation: each phase, the growth with the frames, the whole command as a new process, the bootstrap.

Two result sets on the same frames: published ones of one class where they are found (`MONOKD_KITTI_EVAL`),
and made-up ones of three classes. Minima of several runs, the sizes interleaved, so that other processes
disturb least.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from monokd.evaluation.bootstrap import Resampling
from monokd.evaluation.evaluate import evaluate_folders, evaluate_results, label_frames, pair_up
from monokd.evaluation.rules import CLASSES
from monokd.evaluation.table import ap_table
from monokd.kitti.labels import read_table, write_labels, write_results
from monokd.kitti.objects import Objects, from_rows

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 3769
SIZES = (500, 1000, 2000, FRAMES)
ROUNDS, PROCESSES, RESAMPLES = 5, 5, 1000
KIT_S = {"published, Car": (6.5, 9.8), "made up, three classes": (7.5, 13.0)}  # the official kit, compiled with -O3


def main() -> None:
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as scratch:
        sets = result_sets(Path(scratch))
        for name, (labels, results) in sets.items():
            frames = label_frames(results)
            console.print(phases(name, labels, results, frames))
            console.print(growth(labels, results, frames))
            console.print(whole(name, labels, results, Path(scratch) / "split.txt", frames))


def result_sets(scratch: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of labels and results by name."""
    archives = Path(os.environ.get("MONOKD_KITTI_EVAL", ROOT.parent / "shared" / "kitti_eval"))
    made_labels, made_results = make_up(scratch / "made")
    sets = {"made up, three classes": (made_labels, made_results)}
    if (archives / "pointgnn_car.tar.xz").exists():
        published = extracted(archives / "pointgnn_car.tar.xz", scratch / "published")
        sets = {"published, Car": (extracted(archives / "label_2.tar.xz", scratch / "labels"), published), **sets}
    return sets


def extracted(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(archive) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder


def make_up(folder: Path) -> tuple[Path, Path]:
    """KITTI's count of frames, about eight labels and sixteen detections each, of three classes."""
    random = np.random.default_rng(0)
    for k in range(FRAMES):
        truth = made_objects(random, random.poisson(8))
        jitter = np.repeat(np.arange(len(truth)), 2)
        found = truth.select(jitter)
        found.boxes_px[:] += random.normal(0, 3, found.boxes_px.shape)
        found.locations_m[:] += random.normal(0, [0.2, 0.05, 0.3], found.locations_m.shape)
        found.scores[:] = random.random(len(found))
        write_labels(folder / "label_2" / f"{k:06d}.txt", truth)
        write_results(folder / "data" / f"{k:06d}.txt", found)
    return folder / "label_2", folder / "data"


def made_objects(random: np.random.Generator, count: int) -> Objects:
    rows = np.zeros((count, 15))
    left, top = random.uniform(0, 1100, count), random.uniform(150, 200, count)
    size = random.uniform(20, 120, count)
    rows[:, 0], rows[:, 1] = random.choice([0, 0.2, 0.4], count), random.integers(0, 4, count)
    rows[:, 2] = rows[:, 13] = random.uniform(-3.1, 3.1, count)
    rows[:, 3:7] = np.stack([left, top, left + 1.5 * size, top + size], axis=1)
    rows[:, 7:10] = [1.5, 1.6, 3.9]
    rows[:, 10:13] = np.stack(
        [random.uniform(-20, 20, count), np.full(count, 1.7), random.uniform(5, 60, count)], axis=1
    )
    return from_rows(tuple(random.choice(CLASSES, count)), rows)


def fastest_ms(function: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """The least time that passed and the least processor time."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter(), time.process_time()
        function()
        spent.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return 1e3 * min(passed for passed, _ in spent), 1e3 * min(used for _, used in spent)


def phases(name: str, labels: Path, results: Path, frames: list[str]) -> Table:
    """Compiled code is loaded already."""
    truth, found = read_table(labels, frames, scores=False), read_table(results, frames, scores=True)
    result_set = pair_up(frames, truth, found)
    evaluation = evaluate_results(result_set)
    parts: dict[str, Callable[[], object]] = {
        "read and parse labels": lambda: read_table(labels, frames, scores=False),
        "read and parse results": lambda: read_table(results, frames, scores=True),
        "overlaps": lambda: pair_up(frames, truth, found),
        "matching, curves": lambda: evaluate_results(result_set),
        "table": lambda: ap_table(evaluation),
    }
    rows = {phase: fastest_ms(part) for phase, part in parts.items()}
    resampling = Resampling(RESAMPLES)
    rows[f"bootstrap, {RESAMPLES:,} resamples"] = fastest_ms(lambda: ap_table(evaluation, None, resampling), rounds=1)
    title = f"{name}: {len(frames):,} frames, {len(found.rows):,} detections"
    table = Table(title=title, title_justify="left", min_width=len(title) + 2)
    table.add_column("phase")
    table.add_column("ms", justify="right")
    table.add_column("processor ms", justify="right")
    for phase, (passed, used) in rows.items():
        table.add_row(phase, f"{passed:,.1f}", f"{used:,.1f}")
    return table


def growth(labels: Path, results: Path, frames: list[str]) -> Table:
    """Warm evaluation of the first frames, text to figures; linear cost keeps the last column level."""
    spent: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            some = frames[:size]

            def evaluate(some: list[str] = some) -> None:
                evaluate_folders(labels, results, some)

            spent[size].append(fastest_ms(evaluate, rounds=1))
    table = Table(title="growth, warm, from text to figures", title_justify="left", min_width=44)
    for header in ("frames", "ms", "processor ms", "processor µs a frame"):
        table.add_column(header, justify="right")
    for size, times in spent.items():
        passed, used = min(t[0] for t in times), min(t[1] for t in times)
        table.add_row(f"{size:,}", f"{passed:.1f}", f"{used:.1f}", f"{1e3 * used / size:.1f}")
    return table


def whole(name: str, labels: Path, results: Path, split: Path, frames: list[str]) -> Table:
    """New processes with a warm numba cache, interpreter start included, beside the official kit's time."""
    split.write_text("\n".join(frames))
    arguments = ["evaluate", str(labels), str(results), "--split", str(split), "--json"]
    command = [sys.executable, "-m", "monokd.cli", *arguments]
    passed, used = [], []
    for _ in range(PROCESSES + 1):
        start, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        passed.append(time.perf_counter() - start)
        used.append(after.children_user + after.children_system - before.children_user - before.children_system)
    low, high = KIT_S[name]
    table = Table(title="the whole command as a new process", title_justify="left")
    for header in ("least, s", "median, s", "processor, s", "official kit, s", "times faster (by the median)"):
        table.add_column(header, justify="right")
    middle = median(passed[1:])
    ratio = f"{low / middle:.1f} to {high / middle:.1f}"
    table.add_row(f"{min(passed[1:]):.2f}", f"{middle:.2f}", f"{min(used[1:]):.2f}", f"{low} to {high}", ratio)
    return table


if __name__ == "__main__":
    main()
