"""Large maps that the backward pass makes again: what is cheap to compute need not be kept meanwhile.

A convolution's output is kept. Its normalised, rectified form and concatenations are made from what is kept, by the
same operations on the same numbers, so every gradient keeps its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

LARGE = 1 << 20
"""Numbers of a map from which on it is made again; for small ones the book-keeping costs more than it saves."""


class _Recipe:
    """How to make a map again; what is made is held until all who kept the map have had it.

    Args:
        like: the map.
        make: gives its numbers.
    """

    def __init__(self, like: Tensor, make: Callable[[], Tensor]) -> None:
        self.layout = _layout(like)
        # While a weak reference lives, no other storage gets this one's address.
        self.storage = StorageWeakRef(like.untyped_storage())  # type: ignore[no-untyped-call]
        self.make, self.uses = make, 0
        self.made: Tensor | None = None

    def take(self) -> Tensor:
        made = self.make() if self.made is None else self.made
        self.uses -= 1
        self.made = made if self.uses > 0 else None
        return made


Kept: TypeAlias = Tensor | _Recipe


class _Recipes:
    """The recipes of one forward pass, by the address of the map's storage."""

    def __init__(self) -> None:
        self.by_address: dict[int, _Recipe] = {}

    def add(self, made: Tensor, make: Callable[[], Tensor]) -> None:
        if made.numel() >= LARGE:
            recipe = _Recipe(made, make)
            self.by_address[recipe.storage.cdata] = recipe

    def keep(self, tensor: Tensor) -> Kept:
        recipe = self.by_address.get(tensor.untyped_storage()._cdata)
        if recipe is None or recipe.layout != _layout(tensor):
            return tensor
        recipe.uses += 1
        return recipe


_CURRENT: ContextVar[_Recipes | None] = ContextVar("recipes", default=None)


def rebuilding() -> AbstractContextManager[None]:
    """Within the block, `norm_relu` and `joined` leave recipes instead of maps to the backward pass.

    Without gradients it does nothing; a compiled step decides for itself what to keep.
    """
    wanted = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return _rebuilding() if wanted else nullcontext()


@contextmanager
def _rebuilding() -> Iterator[None]:
    recipes = _Recipes()
    token = _CURRENT.set(recipes)
    try:
        with torch.autograd.graph.saved_tensors_hooks(recipes.keep, _give):
            yield
    finally:
        _CURRENT.reset(token)


def _current() -> _Recipes | None:
    return None if torch.compiler.is_compiling() else _CURRENT.get()


def norm_relu(norm: nn.Module, x: Tensor) -> Tensor:
    """ReLU of the batch normalisation of B×C×H×W `x`."""
    y: Tensor = norm(x)
    recipes = _current()
    if recipes is not None and type(norm) is nn.BatchNorm2d and norm.training:
        recipes.add(y, partial(_norm_relu, x.detach(), norm))  # before ReLU, which keeps its result, in the same place
    return F.relu(y, inplace=True)


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Maps of one size behind each other along the channels."""
    whole = torch.cat(tuple(maps), 1)
    recipes = _current()
    if recipes is not None and whole.numel() >= LARGE:
        recipes.add(whole, partial(_join, [recipes.keep(part.detach()) for part in maps]))
    return whole


def _norm_relu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """By the batch's statistics once more; the running ones have seen it already."""
    with torch.no_grad():
        y = torch.batch_norm(
            x, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, torch.backends.cudnn.enabled
        )  # fmt: skip
        return torch.relu_(y)


def _join(parts: Sequence[Kept]) -> Tensor:
    with torch.no_grad():
        return torch.cat([_give(part) for part in parts], 1)


def _give(kept: Kept) -> Tensor:
    return kept.take() if isinstance(kept, _Recipe) else kept


def _layout(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype
