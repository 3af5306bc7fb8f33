"""Several processes in one: each computes on its share, sums are exchanged by threads that meet."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from monokd.losses.means import Processes

T = TypeVar("T")


def together(count: int, work: Callable[[int, Processes], T]) -> list[T]:
    """Results of `work(process, processes)` for every process, all running at once."""
    meeting = threading.Barrier(count)
    shares: list[Tensor] = [torch.zeros(())] * count

    def run(process: int) -> T:
        def total(value: Tensor) -> Tensor:
            shares[process] = value
            meeting.wait()
            result = torch.stack(shares).sum(0)
            meeting.wait()
            return result

        try:
            return work(process, Processes(count, total))
        except BaseException:
            meeting.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
