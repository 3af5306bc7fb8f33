"""KITTI evaluation: each phase, the growth with the frames, the whole command as a new process, the bootstrap.

Two result sets on the same frames: published ones of one class where they are found (`MONOKD_KITTI_EVAL`), and made-up
ones of three classes. Least times of several runs in turns, so that other processes disturb least.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from measure import ROOT, Row, environment, in_turns, show

from monokd.evaluation.bootstrap import Resampling, figures
from monokd.evaluation.evaluate import evaluate_folders, evaluate_results, label_frames, pair_up
from monokd.evaluation.rules import CLASSES
from monokd.kitti.labels import read_table, write_labels, write_results
from monokd.kitti.objects import Objects, from_rows

FRAMES = 3769
SIZES = (500, 1000, 2000, FRAMES)
ROUNDS, RESAMPLES = 5, 1000
KIT_S = {"published, Car": (6.5, 9.8), "made up, three classes": (7.5, 13.0)}  # the official kit, compiled with -O3


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, (labels, results) in result_sets(Path(scratch)).items():
            frames = label_frames(results)
            show(f"{name}: {len(frames):,} frames", phases(labels, results, frames))
            show("growth, warm, from text to figures", growth(labels, results, frames))
            command = whole(labels, results, Path(scratch) / "split.txt", frames, KIT_S[name])
            show("the whole command as a new process", [command])


def result_sets(scratch: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of labels and results by name."""
    archives = Path(os.environ.get("MONOKD_KITTI_EVAL", ROOT.parent / "shared" / "kitti_eval"))
    sets = {"made up, three classes": make_up(scratch / "made")}
    if (archives / "pointgnn_car.tar.xz").exists():
        folders = [extracted(archives / f"{name}.tar.xz", scratch / name) for name in ("label_2", "pointgnn_car")]
        sets["published, Car"] = folders[0], folders[1]
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
        found = truth.select(np.repeat(np.arange(len(truth)), 2))
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
    rows[:, 10:13] = np.stack([random.uniform(-20, 20, count), np.full(count, 1.7), random.uniform(5, 60, count)], 1)
    return from_rows(tuple(random.choice(CLASSES, count)), rows)


def least(ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> list[Row]:
    """Least milliseconds that passed and, of further runs, of processor time."""
    passed, used = (in_turns(ways, rounds, clock=clock) for clock in (time.perf_counter, time.process_time))
    return [{"": name, "ms": 1e3 * min(passed[name]), "processor ms": 1e3 * min(used[name])} for name in ways]


def phases(labels: Path, results: Path, frames: list[str]) -> list[Row]:
    """Compiled code is loaded already; several cores make the parts of a phase overlap."""
    truth, found = read_table(labels, frames, scores=False), read_table(results, frames, scores=True)
    pairs = pair_up(frames, truth, found)
    evaluation = evaluate_results(pairs)
    ways: dict[str, Callable[[], object]] = {
        "read and parse labels": lambda: read_table(labels, frames, scores=False),
        "read and parse results": lambda: read_table(results, frames, scores=True),
        "overlaps": lambda: pair_up(frames, truth, found),
        "matching, curves": lambda: evaluate_results(pairs),
    }
    draws = {f"bootstrap, {RESAMPLES:,} resamples": partial(figures, [evaluation], Resampling(RESAMPLES))}
    return [*least(ways), *least(draws, 1)]


def growth(labels: Path, results: Path, frames: list[str]) -> list[Row]:
    """Of the first frames; linear cost keeps the last column level."""
    rows = least({f"{size:,} frames": partial(evaluate_folders, labels, results, frames[:size]) for size in SIZES})
    each = [1e3 * row["processor ms"] / size for row, size in zip(rows, SIZES, strict=True)]
    return [row | {"processor µs a frame": microseconds} for row, microseconds in zip(rows, each, strict=True)]


def whole(labels: Path, results: Path, split: Path, frames: list[str], kit_s: tuple[float, float]) -> Row:
    """New processes with a warm numba cache, interpreter start included, beside the official kit's time."""
    split.write_text("\n".join(frames))
    words = ["-m", "monokd.cli", "evaluate", str(labels), str(results), "--split", str(split), "--json"]
    run = partial(subprocess.run, [sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment())
    middle = median(in_turns({"": run}, ROUNDS, clock=time.perf_counter)[""])
    faster = " to ".join(f"{seconds / middle:.1f}" for seconds in kit_s)
    return {"median s": middle, "official kit, s": f"{kit_s[0]} to {kit_s[1]}", "times faster": faster}


if __name__ == "__main__":
    main()
