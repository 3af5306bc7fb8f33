"""Which device is taken, and what is said where it cannot be; no GPU is needed to test it."""

from contextlib import nullcontext

import pytest
import torch

from monokd.errors import DataError
from monokd.training.devices import pick_accelerator


@pytest.mark.parametrize(
    ("wanted", "gpus", "processes", "taken"),
    [
        ("auto", 0, 1, "cpu"),
        ("auto", 2, 2, "cuda"),
        ("cpu", 2, 4, "cpu"),
        ("cuda", 1, 1, "cuda"),
        ("cuda", 0, 1, "machine.accelerator: expected a GPU for cuda, found none; cpu or auto run without"),
        ("auto", 1, 2, "expected at most one process a GPU, found 2 processes for 1 GPUs"),
    ],
)
def test_cuda_where_it_is_there_and_wanted(
    monkeypatch: pytest.MonkeyPatch, wanted: str, gpus: int, processes: int, taken: str
) -> None:
    """On a machine that pretends to have as many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(DataError, match=taken) if " " in taken else nullcontext():
        assert pick_accelerator(wanted, processes) == taken
