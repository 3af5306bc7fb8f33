"""Which frames make which batch: a function of (seed, epoch) alone, whatever the number of workers and processes."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from torch.utils.data import Sampler

from monokd.errors import DataError
from monokd.typing import Ints

ORDER_STREAM = 0
Key = tuple[int, int]  # epoch, index of a frame


def epoch_order(seed: int, epoch: int, count: int, part: int = 0) -> Ints:
    """Permute 0 to count − 1; the order depends on (seed, epoch, part of the data) alone."""
    sequence = np.random.SeedSequence(seed, spawn_key=(ORDER_STREAM, epoch, *((part,) if part else ())))
    return np.random.Generator(np.random.Philox(sequence)).permutation(count).astype(np.int64)


class BatchOrder(Sampler[list[Key]]):
    """This process's part of every batch of `epoch`, which is set before iterating: (epoch, index) of its frames.

    An epoch has `steps` batches of `batch_size` over all processes. `process` is the number of this one, and how many
    share each batch, evenly (ValueError). Each part comes in as many equal `chunks`, which divide it, one by one.
    """

    def __init__(self, steps: int, batch_size: int, process: tuple[int, int], chunks: int) -> None:
        if batch_size < 1 or batch_size % process[1]:
            raise ValueError(f"batch size {batch_size} must be a positive multiple of the {process[1]} processes")
        self.steps, self.batch_size, self.process, self.chunks, self.epoch = steps, batch_size, process, chunks, 0

    def __len__(self) -> int:
        """Count the chunks of an epoch."""
        return self.steps * self.chunks

    def __iter__(self) -> Iterator[list[Key]]:
        """Give this process's chunks of each batch of `epoch`."""
        rank, processes = self.process
        pieces = processes * self.chunks
        for batch in self.batches():
            for i in range(rank * self.chunks, (rank + 1) * self.chunks):
                chunk = batch[len(batch) * i // pieces : len(batch) * (i + 1) // pieces]
                if chunk:
                    yield chunk

    def batches(self) -> Iterator[list[Key]]:
        """Give the whole batches of `epoch`."""
        raise NotImplementedError


class EpochBatches(BatchOrder):
    """Each of `count` frames once an epoch; the processes' parts, in their order, are the batch that one would see.

    With a seed the order changes each epoch and a last batch that is not full is left out (DataError where none is).
    Without, frames come as they are, and of a last batch that is not full some processes may get no part.
    """

    def __init__(
        self, count: int, batch_size: int, *, seed: int | None, process: tuple[int, int] = (0, 1), chunks: int = 1
    ) -> None:
        steps = -(-count // batch_size) if seed is None else count // batch_size
        super().__init__(steps, batch_size, process, chunks)
        if not steps:
            raise DataError(f"expected at least one full batch of {batch_size} frames, found {count} frames")
        self.count, self.seed = count, seed

    def batches(self) -> Iterator[list[Key]]:
        """Give the whole batches of `epoch`."""
        order = np.arange(self.count) if self.seed is None else epoch_order(self.seed, self.epoch, self.count)
        for first in range(0, self.steps * self.batch_size, self.batch_size):
            yield [(self.epoch, int(index)) for index in order[first : first + self.batch_size]]


class MixedBatches(BatchOrder):
    """Batches of two sets at a fixed share, such as frames with labels and frames without.

    Each set is shuffled and drawn from without repetition until it is used up, then shuffled anew, whatever the
    epochs' borders. A frame's key holds the number of its set's pass in place of the epoch, so that a frame that
    comes again within an epoch is augmented anew. The sets are spread evenly over a batch, its processes and chunks.

    `counts` are the frames of both; the second's indices go on from the first's. `share` of each batch comes from the
    second, rounded to whole frames; a set without frames that a batch needs is a DataError.
    """

    def __init__(
        self,
        counts: tuple[int, int],
        batch_size: int,
        *,
        share: float,
        steps: int,
        seed: int,
        process: tuple[int, int] = (0, 1),
        chunks: int = 1,
    ) -> None:
        super().__init__(steps, batch_size, process, chunks)
        second = round(batch_size * share)
        self.counts, self.drawn, self.seed = counts, (batch_size - second, second), seed
        for count, drawn in zip(counts, self.drawn, strict=True):
            if drawn > 0 and count < 1:
                raise DataError(f"expected frames for {drawn} of each batch of {batch_size}, found none")

    def batches(self) -> Iterator[list[Key]]:
        """Give the whole batches of `epoch`."""
        order = lru_cache(maxsize=4)(epoch_order)
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            batch: list[tuple[float, Key]] = []
            for part, (count, drawn) in enumerate(zip(self.counts, self.drawn, strict=True)):
                for number in range(step * drawn, (step + 1) * drawn):
                    turn, place = divmod(number, count)
                    index = int(order(self.seed, turn, count, part)[place])
                    batch.append(((number - step * drawn + 0.5) / drawn, (turn, index + part * self.counts[0])))
            yield [key for _, key in sorted(batch, key=lambda placed: placed[0])]
