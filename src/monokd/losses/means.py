"""Means over the whole batch of a step, however many processes share it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean whose elements may lie in several processes."""

    total: Tensor  # scalar sum over this process's elements
    count: Tensor | int  # how many elements those are
    empty: float = 0.0  # the value where no process has any

    def here(self) -> Tensor:
        """The mean over this process's own elements."""
        count = torch.as_tensor(self.count, device=self.total.device)
        return _divided(self.total, count.to(self.total.dtype), self.empty)


Terms = dict[str, tuple[Mean, ...]]
"""Named loss terms, each a sum of means."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that share a batch; the default is this one alone."""

    count: int = 1  # how many
    # the sum of a tensor without gradient over all of them; leaves its argument as it is
    sum: Callable[[Tensor], Tensor] = torch.clone


ALONE = Processes()
"""This process alone."""


def over_processes(terms: Mapping[str, Sequence[Mean]], processes: Processes) -> dict[str, Tensor]:
    """Return each term over the whole batch, by one sum over the processes for all of them.

    A process's term is its own total over everybody's count, times the number of processes: the mean over processes,
    which distributed data-parallel training takes of gradients, is then the whole batch's term.
    """
    means = [mean for parts in terms.values() for mean in parts]
    if not means:
        return {}
    device = means[0].total.device
    counts = torch.stack([_scalar(mean.count, device) for mean in means])
    values = iter(
        _divided(mean.total * processes.count, count, mean.empty)
        for mean, count in zip(means, processes.sum(counts).unbind(), strict=True)
    )
    return {name: torch.stack([next(values).float() for _ in parts]).sum() for name, parts in terms.items()}


def merged(chunks: Sequence[Terms]) -> Terms:
    """Return the terms of a batch whose chunks were computed one by one: means over the elements of all chunks."""
    if len(chunks) == 1:
        return chunks[0]
    return {
        name: tuple(
            Mean(sum(m.total for m in same), sum(_scalar(m.count, m.total.device) for m in same), same[0].empty)
            for same in zip(*(chunk[name] for chunk in chunks), strict=True)
        )
        for name in chunks[0]
    }


def _scalar(count: Tensor | int, device: torch.device) -> Tensor:
    if isinstance(count, int):  # `torch.tensor` would wait for the device
        return torch.full((), float(count), device=device, dtype=torch.float64)
    return count.detach().double()


def _divided(total: Tensor, count: Tensor, empty: float) -> Tensor:
    mean = total / count.where(count > 0, 1).to(total.dtype)
    return mean if empty == 0 else mean.masked_fill(count <= 0, empty)
