"""Batch normalisation over processes; that theirs together is one's is tested in `test_processes.py`."""

import pytest
import torch
from torch import nn

from monokd.losses.means import Processes as Replicas
from monokd.models.heads import RegionNorm
from monokd.training.batch_norm import GlobalBatchNorm, synchronise
from tests.losses.processes import together


def layer(seed: int) -> nn.BatchNorm2d:
    """Called by several threads at once: torch's own generator, which they share, would give each other numbers."""
    generator = torch.Generator().manual_seed(seed)
    made = nn.BatchNorm2d(3).double()
    for tensor in (made.weight, made.bias, made.running_mean, made.running_var):
        assert tensor is not None
        nn.init.uniform_(tensor, 0.5, 2.0, generator=generator)
    return made


def test_without_any_element_anywhere_the_statistics_stay_and_a_step_still_trains() -> None:
    def work(process: int, replicas: Replicas) -> GlobalBatchNorm:
        norm = GlobalBatchNorm(layer(0), replicas.sum)
        torch.autograd.backward(norm(torch.zeros(0, 3, 7, 7, dtype=torch.float64, requires_grad=True)).sum())
        return norm

    for norm in together(2, work):
        torch.testing.assert_close(norm.state_dict(), layer(0).state_dict())
        assert norm.weight.grad is not None
        assert not norm.weight.grad.any()


@pytest.mark.parametrize("cuda", [False, True])
def test_conversion_shares_parameters_and_keeps_names(cuda: bool) -> None:
    """On GPUs torch's own layer normalises the maps."""
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(layer(0), RegionNorm(3)))
    before, parameters = module.state_dict(), list(module.parameters())
    synchronise(module, Replicas().sum, cuda=cuda)
    inner = module.get_submodule("1")
    assert [type(child) for child in inner.children()] == [
        nn.SyncBatchNorm if cuda else GlobalBatchNorm,
        GlobalBatchNorm,
    ]
    assert list(module.state_dict()) == list(before)
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))
    module.load_state_dict(before)
