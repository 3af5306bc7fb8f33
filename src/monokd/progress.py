"""Progress bars with the time left, on stderr, silent where nobody watches."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from monokd.errors import DataError

A = TypeVar("A")
R = TypeVar("R")


def progress_bar(visible: bool = True) -> Progress:
    """A bar with counts, elapsed time and time left; the caller adds tasks."""
    description, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
    columns = description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), note
    return Progress(*columns, console=Console(stderr=True), disable=not visible)


def track(items: Iterable[A], description: str, total: int) -> Iterator[A]:
    """Yield `items` while a bar counts them."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, task_id=bar.add_task(description, total=total, note=""))


def map_frames(function: Callable[[A], R], items: Sequence[A], description: str, workers: int) -> list[R]:
    """Apply a picklable `function` to every item in `workers` processes, in order of `items`, with a progress bar.

    One worker means this process. The first exception ends the map and is raised here; DataError where a worker was
    killed.
    """
    if workers <= 1 or len(items) <= 1:
        return list(track(map(function, items), description, len(items)))
    context = get_context("spawn")
    chunk = max(1, min(16, len(items) // (workers * 4)))
    try:
        with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
            return list(track(pool.map(function, items, chunksize=chunk), description, len(items)))
    except BrokenProcessPool as error:
        raise DataError(f"{description}: a worker process was killed (out of memory?); run again to go on") from error


def worker_count(workers: int) -> int:
    """`workers`, or one a usable core where it is 0."""
    return workers or len(os.sched_getaffinity(0))
