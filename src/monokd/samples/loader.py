"""Batches in an order that depends on (seed, epoch) alone, whatever the number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from monokd.errors import DataError
from monokd.progress import worker_count
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, Sample

ORDER_STREAM = 0


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A permutation of 0 to count − 1 that depends on (seed, epoch) alone."""
    sequence = np.random.SeedSequence(seed, spawn_key=(ORDER_STREAM, epoch))
    return np.random.Generator(np.random.Philox(sequence)).permutation(count).astype(np.int64)


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """This process's part of every global batch of an epoch, as (epoch, index) pairs.

    The parts of one step, joined in rank order, are the batch that a single process would see.

    Args:
        count: frames.
        batch_size: over all processes.
        seed: of the order.
        shuffle: a new order each epoch; otherwise 0, 1, 2, ….
        drop_last: leave out a last batch that is not full.
        rank: of this process.
        world_size: processes; with more than one and a last batch that is not full, some may get no part of it.

    Attributes:
        epoch: the next iteration's epoch.
        first_batch: the step at which the next iteration starts.

    Raises:
        ValueError: a batch size that the processes cannot share evenly.
        DataError: `drop_last` leaves nothing.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1 or batch_size % world_size:
            raise ValueError(f"batch size {batch_size} must be a positive multiple of the {world_size} processes")
        if drop_last and count < batch_size:
            raise DataError(f"expected at least one full batch of {batch_size} frames, found {count} frames")
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.shuffle, self.drop_last = shuffle, drop_last
        self.rank, self.world_size = rank, world_size
        self.epoch = self.first_batch = 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self.count // self.batch_size if self.drop_last else -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """This process's part of each batch, from `first_batch` of `epoch` on."""
        order = epoch_order(self.seed, self.epoch, self.count) if self.shuffle else np.arange(self.count)
        for step in range(self.first_batch, len(self)):
            whole = order[step * self.batch_size : (step + 1) * self.batch_size]
            part = np.array_split(whole, self.world_size)[self.rank]
            if len(part):
                yield [(self.epoch, int(index)) for index in part]


class EpochLoader:
    """Batches of any epoch, from any step.

    Args:
        frames: the samples.
        sampler: which samples make which batch.
        workers: processes that make samples; 0 makes them here.
        pin_memory: page-lock the batches for a GPU.
    """

    def __init__(self, frames: Frames, sampler: EpochBatches, *, workers: int = 0, pin_memory: bool = False) -> None:
        self.frames, self.sampler = frames, sampler
        self._loader: DataLoader[Sample | DataError] = DataLoader(
            _Guarded(frames),
            batch_sampler=sampler,
            collate_fn=_collate_or_error,
            num_workers=workers,
            worker_init_fn=_one_thread,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # else every epoch would draw from torch's global stream
        )

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.sampler)

    def batches(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """The epoch's batches from step `first_batch` on.

        Raises:
            DataError: a frame's file is missing or broken, or a worker was killed.
        """
        self.sampler.epoch, self.sampler.first_batch = epoch, first_batch
        for batch in _surviving(self._loader):
            if isinstance(batch, DataError):
                try:
                    raise batch
                finally:
                    del batch  # else frame and traceback hold each other and the workers end at garbage collection
            yield batch


def build_loader(
    frames: Frames,
    *,
    batch_size: int,
    training: bool,
    seed: int = 0,
    drop_last: bool | None = None,
    workers: int = 0,
    pin_memory: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> EpochLoader:
    """A loader for training (shuffled, full batches only) or for prediction (in order, every frame).

    Args:
        frames: the samples.
        batch_size: over all processes.
        training: shuffle by (seed, epoch).
        seed: of the order.
        drop_last: leave out the last batch if it is not full; None means in training only (quirk Q6: the published
            validation drops it too).
        workers: processes that make samples, at most one a usable core; the batches are the same bits for any number.
        pin_memory: page-lock the batches for a GPU.
        rank: of this process.
        world_size: processes that share each batch.

    Raises:
        ValueError: a batch size that the processes cannot share evenly.
        DataError: fewer frames than one full batch where only full ones count.
    """
    sampler = EpochBatches(
        len(frames),
        batch_size,
        seed=seed,
        shuffle=training,
        drop_last=training if drop_last is None else drop_last,
        rank=rank,
        world_size=world_size,
    )
    return EpochLoader(frames, sampler, workers=min(workers, worker_count(0)), pin_memory=pin_memory)


class _Guarded(Dataset["Sample | DataError"]):
    """Hands a DataError over as a value: a DataLoader would wrap its one line in a worker's traceback."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __getitem__(self, key: tuple[int, int]) -> Sample | DataError:
        try:
            return self.frames[key]
        except DataError as error:
            return error


def _collate_or_error(samples: Sequence[Sample | DataError]) -> Batch | DataError:
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    return collate([sample for sample in samples if isinstance(sample, Sample)])


def _surviving(loader: DataLoader[Sample | DataError]) -> Iterator[Batch | DataError]:
    """The loader's batches; the death of a worker ends them in one line instead of torch's traceback."""
    batches = iter(loader)
    while True:
        try:
            batch: Batch | DataError = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise DataError("a worker process that reads frames was killed (out of memory?); run again") from error
        yield batch


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
