"""Batches of an epoch, made by worker processes and copied to the device while it computes."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from monokd.errors import DataError
from monokd.progress import worker_count
from monokd.samples.batch import Batch, collate, tensors_of
from monokd.samples.dataset import SampleSet
from monokd.samples.order import BatchOrder, EpochBatches, Key

MOST_WORKERS = 16  # unasked; more read faster than a GPU trains
SHARED = Path("/dev/shm")
BATCHES_AHEAD = 2  # of each worker


class EpochLoader:
    """Batches of any epoch, made by as many processes as `workers`, or here.

    On a CUDA device they arrive while the batch before is computed on; otherwise they stay where they are.
    """

    def __init__(
        self, frames: SampleSet, order: BatchOrder, *, workers: int = 0, device: torch.device | None = None
    ) -> None:
        self.frames, self.order, self.workers = frames, order, workers
        self.device = device if device is not None and device.type == "cuda" else None
        self._loader: DataLoader[Batch | DataError] = DataLoader(
            _Collated(frames),
            batch_size=None,
            sampler=order,
            num_workers=workers,
            worker_init_fn=_one_thread,
            persistent_workers=workers > 0,
            prefetch_factor=BATCHES_AHEAD if workers else None,
            pin_memory=self.device is not None,
            generator=torch.Generator(),  # else every epoch would draw from torch's global stream
        )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self.order)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Give the epoch's batches.

        Raises:
            DataError: a frame's file is missing or broken, or a worker was killed.
        """
        self.order.epoch = epoch
        batches = self._batches()
        yield from batches if self.device is None else copied_ahead(batches, self.device)

    def _batches(self) -> Iterator[Batch]:
        """The batches here; a broken file or the death of a worker ends them in one line."""
        batches = iter(self._loader)
        while True:
            try:
                batch: Batch | DataError = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                message = f"{error} {error.__cause__}"
                if any(hint in message for hint in ("Bus error", "shared memory", "No space left on device")):
                    reason = "a worker process died because shared memory is full (docker: --shm-size)"
                    raise DataError(reason, SHARED) from error
                if "DataLoader worker (pid" in message:  # one that raised an error has a number there
                    reason = "a worker process that reads frames was killed (out of memory?); run again"
                    raise DataError(reason) from error
                raise
            if isinstance(batch, DataError):
                try:
                    raise batch
                finally:
                    del batch  # else frame and traceback hold each other and the workers end at garbage collection
            yield batch


def build_loader(
    frames: SampleSet,
    *,
    batch_size: int,
    seed: int | None = None,
    workers: int = 0,
    device: torch.device | None = None,
    process: tuple[int, int] = (0, 1),
) -> EpochLoader:
    """Build a loader whose epochs have every frame once; see `EpochBatches`, and `loader_workers` for `workers`.

    Raises:
        DataError: fewer frames than one full batch where only full ones count.
    """
    order = EpochBatches(len(frames), batch_size, seed=seed, process=process)
    return EpochLoader(frames, order, workers=loader_workers(workers, worker_count(0)), device=device)


def loader_workers(setting: int, cores: int) -> int:
    """Choose how many processes make samples: at most one a core; with −1 all cores but one, at most 16."""
    return min(setting, cores) if setting >= 0 else min(max(cores - 1, 1), MOST_WORKERS)


def copied_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Give page-locked batches on a CUDA device, each copied while the one before is computed on."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[Batch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = batch.to(device), stream.record_event()
        if waiting is not None:
            yield _arrived(*waiting, device)
        waiting = copied
    if waiting is not None:
        yield _arrived(*waiting, device)


def _arrived(batch: Batch, copied: torch.cuda.Event, device: torch.device) -> Batch:
    """Let the device's own stream wait for the copy, and keep its memory until that stream is done with it."""
    here = torch.cuda.current_stream(device)
    here.wait_event(copied)
    for tensor in tensors_of(batch):
        tensor.record_stream(here)
    return batch


class _Collated(Dataset["Batch | DataError"]):
    """Batches by their keys; hands a DataError over as a value: a DataLoader would wrap its line in a traceback."""

    def __init__(self, frames: SampleSet) -> None:
        self.frames = frames

    def __getitem__(self, keys: list[Key]) -> Batch | DataError:
        try:
            return collate([self.frames[key] for key in keys])
        except DataError as error:
            return error


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
