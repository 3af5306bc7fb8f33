"""Batches of an epoch, made by worker processes and copied to the device while it computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from monokd.errors import DataError
from monokd.progress import worker_count
from monokd.samples.batch import Batch, Sample, collate, tensors_of
from monokd.samples.dataset import SampleSet
from monokd.samples.order import BatchOrder, EpochBatches, Key

MOST_WORKERS = 16  # unasked; more read faster than a GPU trains
SHARED = Path("/dev/shm")
BATCHES_AHEAD = 2  # of each worker


class EpochLoader:
    """Batches of any epoch.

    Args:
        frames: the samples.
        order: which samples make which batch.
        workers: processes that make samples; 0 makes them here.
        device: where the batches are wanted; on a CUDA device they arrive while the batch before is computed on.
    """

    def __init__(
        self, frames: SampleSet, order: BatchOrder, *, workers: int = 0, device: torch.device | None = None
    ) -> None:
        self.frames, self.order, self.workers = frames, order, workers
        self.device = device if device is not None and device.type == "cuda" else None
        self._loader: DataLoader[Sample | DataError] = DataLoader(
            _Guarded(frames),
            batch_sampler=order,
            collate_fn=_collate_or_error,
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
        batches = _batches(self)
        yield from batches if self.device is None else copied_ahead(batches, self.device)


def build_loader(
    frames: SampleSet,
    *,
    batch_size: int,
    training: bool,
    seed: int = 0,
    drop_last: bool | None = None,
    workers: int = 0,
    device: torch.device | None = None,
    process: tuple[int, int] = (0, 1),
) -> EpochLoader:
    """Build a loader for training (shuffled, full batches only) or for prediction (in order, every frame).

    Args:
        frames: the samples.
        batch_size: over all processes.
        training: shuffle by (seed, epoch).
        seed: of the order.
        drop_last: leave out the last batch if it is not full; None means in training only (quirk Q6: the published
            validation drops it too).
        workers: see `loader_workers`; the batches are the same bits for any number.
        device: where the batches are wanted.
        process: number of this process, and how many share each batch.

    Raises:
        ValueError: a batch size that the processes cannot share evenly.
        DataError: fewer frames than one full batch where only full ones count.
    """
    drop_last = training if drop_last is None else drop_last
    order = EpochBatches(len(frames), batch_size, seed=seed, shuffle=training, drop_last=drop_last, process=process)
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


class _Guarded(Dataset["Sample | DataError"]):
    """Hands a DataError over as a value: a DataLoader would wrap its one line in a worker's traceback."""

    def __init__(self, frames: SampleSet) -> None:
        self.frames = frames

    def __getitem__(self, key: Key) -> Sample | DataError:
        try:
            return self.frames[key]
        except DataError as error:
            return error


def _collate_or_error(samples: Sequence[Sample | DataError]) -> Batch | DataError:
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    return collate([sample for sample in samples if isinstance(sample, Sample)])


def _batches(loader: EpochLoader) -> Iterator[Batch]:
    """The loader's batches; a broken file or the death of a worker ends them in one line."""
    batches = iter(loader._loader)
    while True:
        try:
            batch: Batch | DataError = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            reason = _reason(error, loader)
            if reason is None:
                raise
            raise reason from error
        if isinstance(batch, DataError):
            try:
                raise batch
            finally:
                del batch  # else frame and traceback hold each other and the workers end at garbage collection
        yield batch


def _reason(error: RuntimeError, loader: EpochLoader) -> DataError | None:
    """What the death of a worker means; None where it is something else."""
    message = f"{error} {error.__cause__}"
    if any(hint in message for hint in ("Bus error", "shared memory", "No space left on device")):
        sample = loader.frames[loader.order.epoch, 0]
        per_batch = sum(t.nbytes for t in tensors_of(collate([sample]))) * loader.order.batch_size
        need = per_batch // loader.order.process[1] * loader.workers * BATCHES_AHEAD
        found = f"{loader.workers} workers hold up to {need / 1e6:.0f} MB of batches there"
        return DataError(f"a worker process died because shared memory is full: {found} (docker: --shm-size)", SHARED)
    if "DataLoader worker" in message:
        return DataError("a worker process that reads frames was killed (out of memory?); run again")
    return None


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
