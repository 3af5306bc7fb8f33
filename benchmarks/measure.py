"""What the scripts beside this file share: timing in turns, peak memory, tables, frames to measure on."""

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch

from monokd.depth.folder import densify_folder
from monokd.kitti.frames import KittiFolder
from monokd.params import Scenes
from monokd.scenes.generate import generate_scenes

ROOT = Path(__file__).resolve().parents[1]
KITTI = Path(os.environ.get("MONOKD_KITTI", ROOT.parent / "shared/kitti"))  # where real frames may lie
MIB = 2**20
R = TypeVar("R")
Row = dict[str, Any]


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, *, device: str = "cpu",
    clock: Callable[[], float] | None = None,
) -> dict[str, list[float]]:  # fmt: skip
    """Seconds of each way in every round, after one round that does not count.

    Ways take turns within a round, so that a busy machine slows all alike; `device` is waited for at the borders of
    each run. By default processor time of all threads on the CPU, wall time on a GPU.
    """
    clock = clock or (time.process_time if device == "cpu" else time.perf_counter)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, rounds):
        for name, way in ways.items():
            wait(device)
            began = clock()
            way()
            wait(device)
            if turn >= 0:
                seconds[name].append(clock() - began)
    return seconds


def wait(device: str) -> None:
    """Wait until the device has nothing left to do."""
    if device != "cpu":
        torch.cuda.synchronize()


@contextmanager
def peak_mib(device: str) -> Iterator[list[float]]:
    """A list that holds, once the block is left, the peak of the memory in use in MiB, and its rise over the start.

    On a GPU what torch allocates; on the CPU the resident size of the process, interpreter and libraries included
    (Linux). With MALLOC_MMAP_THRESHOLD_=65536 in the environment that is what is held.
    """
    found: list[float] = []
    gc.collect()
    if device == "cpu":
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is resident
        before = _resident_mib("VmRSS")
    else:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / MIB
    yield found
    peak = _resident_mib("VmHWM") if device == "cpu" else torch.cuda.max_memory_allocated() / MIB
    found += [peak, peak - before]


def _resident_mib(kind: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(kind))) / 1024


def in_fresh_process(function: Callable[..., R], *arguments: object) -> R:
    """Call a function in a new process and return what it returns; what it raises is raised here."""
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")  # freed blocks are given back: peaks are what is held
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table; columns are the rows' keys in order of their first appearance."""
    print(f"\n{title}\n{_cells(rows).to_string(index=False, max_colwidth=80)}", flush=True)


def markdown(rows: Sequence[Row]) -> str:
    """The same table for a page."""
    table = _cells(rows)
    columns = [str(column) for column in table.columns]
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame([{key: _cell(value) for key, value in row.items()} for row in rows]).fillna("")


def _cell(value: object) -> str:
    """A number in four digits, other values as they are."""
    if not isinstance(value, float):
        return "" if value is None else str(value).replace("|", "\\|")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"


def make_frames(folder: Path, depth: Path, count: int, *, width_px: int = 1242, height_px: int = 375) -> KittiFolder:
    """Synthetic frames in KITTI's layout with dense depth, made by all cores; one further frame is for validation."""
    workers = len(os.sched_getaffinity(0)) if count > 16 else 1
    settings = Scenes(train_frames=count, val_frames=1, width_px=width_px, height_px=height_px)
    generate_scenes(folder, settings, workers=workers)
    root = KittiFolder(folder)
    densify_folder(root, depth, root.frames(), workers=workers)
    return root


def environment() -> dict[str, str]:
    """Of a process on this source, with one thread."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
