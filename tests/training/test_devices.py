"""Which device is taken, and what is said where it cannot be; no GPU is needed to test it."""

import pytest
import torch

from monokd.errors import DataError
from monokd.models.arithmetic import set_tf32
from monokd.training.devices import pick_accelerator


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> object:
    """Pretends that the machine has as many GPUs."""

    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return have


@pytest.mark.parametrize(
    ("wanted", "count", "taken"), [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda")]
)
def test_cuda_where_it_is_there_and_wanted(gpus: object, wanted: str, count: int, taken: str) -> None:
    gpus(count)  # type: ignore[operator]
    assert pick_accelerator(wanted) == taken


def test_cuda_that_is_not_there_is_one_line(gpus: object) -> None:
    gpus(0)  # type: ignore[operator]
    with pytest.raises(DataError, match=r"machine.accelerator: expected a GPU for cuda, found none"):
        pick_accelerator("cuda")


def test_two_processes_on_one_gpu_are_refused(gpus: object) -> None:
    gpus(1)  # type: ignore[operator]
    with pytest.raises(DataError, match="expected at most one process a GPU, found 2 processes for 1 GPUs"):
        pick_accelerator("auto", 2)


@pytest.mark.parametrize("tf32", [True, False])
def test_one_switch_decides_on_tf32_convolutions(tf32: bool) -> None:
    before = torch.backends.cudnn.allow_tf32
    try:
        set_tf32(tf32)
        assert torch.backends.cudnn.allow_tf32 == tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before
