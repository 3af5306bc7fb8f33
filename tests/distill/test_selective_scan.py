"""Every form of the selective scan against the sequential reference."""

import importlib
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from monokd.distill import selective_scan
from monokd.distill.scan_cpu import CHUNK
from monokd.distill.selective_scan import reference_scan

TOLERANCE = 1e-4


def inputs(batch: int, length: int, channels: int, states: int = 16, steps: float = 0.0) -> list[Tensor]:
    """float32 leaves; `steps` shifts the step sizes, e^steps about."""
    g = torch.Generator().manual_seed(batch + length)
    u, raw = (torch.randn(batch, length, channels, generator=g) for _ in range(2))
    A = -torch.arange(1.0, states + 1) * torch.exp(0.3 * torch.randn(channels, states, generator=g))
    B, C = (torch.randn(batch, length, states, generator=g) for _ in range(2))
    D = torch.randn(channels, generator=g)
    return [x.requires_grad_() for x in (u, F.softplus(raw + steps), A, B, C, D)]


def relative_errors(scan: Callable[..., Tensor], given: list[Tensor]) -> list[float]:
    """Of the output and the six gradients, against the reference in float64, relative to the largest number."""
    exact = [x.detach().double().requires_grad_() for x in given]
    found, expected = scan(*given), reference_scan(*exact)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1)).to(found.device)
    gradients = torch.autograd.grad(found, given, weight), torch.autograd.grad(expected, exact, weight.double())
    pairs = zip((found, *gradients[0]), (expected, *gradients[1]), strict=True)
    return [float((a.double() - b).abs().max().detach() / b.abs().max().detach()) for a, b in pairs]


@pytest.mark.parametrize(
    ("batch", "length", "channels", "states", "steps"),
    [
        (2, 3 * CHUNK, 8, 16, 0.0),
        (1, 3 * CHUNK + 5, 131, 16, -5.0),
        (2, 1, 4, 16, 0.0),
        (1, CHUNK - 1, 3, 4, 3.0),
        (1, 900, 16, 16, -8.0),
        (1, 30_720, 2, 16, -7.0),  # the stride-4 map of the published size, with steps that remember for thousands
    ],
)
def test_forward_and_gradients(batch: int, length: int, channels: int, states: int, steps: float) -> None:
    """Whole and partial chunks, one token, other numbers of states, long and short memory."""
    given = inputs(batch, length, channels, states, steps)
    assert max(relative_errors(selective_scan.selective_scan, given)) < TOLERANCE


@pytest.mark.usefixtures("settings_restored")
def test_threads_do_not_change_a_bit() -> None:
    given, gradients = inputs(3, 100, 40), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        gradients.append(torch.autograd.grad(selective_scan.selective_scan(*given).sum(), given))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("which", range(6))
def test_a_value_that_is_not_finite_shows(which: int) -> None:
    given = [x.detach() for x in inputs(1, 5, 3)]
    given[which].view(-1)[0] = float("nan")
    assert selective_scan.selective_scan(*given).isnan().any()


def test_a_kernel_of_mamba_ssm_is_called_in_its_own_layout() -> None:
    """It takes batch×d×L and batch×n×L; here a stand-in on that layout."""

    def kernel(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        u, delta, B, C = (x.transpose(1, 2) for x in (u, delta, B, C))
        return reference_scan(u, delta, A, B, C, D).transpose(1, 2)

    given = inputs(2, 5, 3, 4)
    torch.testing.assert_close(selective_scan.in_mamba_layout(kernel, *given), reference_scan(*given))


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'mamba_ssm'"), OSError("undefined symbol: x")])
def test_a_missing_or_broken_mamba_ssm_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def refuse(_: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", refuse)
    selective_scan._mamba_scan.cache_clear()
    assert [selective_scan._mamba_scan() for _ in range(2)] == [None, None]
    selective_scan._mamba_scan.cache_clear()
    assert capsys.readouterr().err.count(str(error)) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda() -> None:
    given = [x.detach().cuda().requires_grad_() for x in inputs(2, 700, 8)]
    assert max(relative_errors(selective_scan.selective_scan, given)) < TOLERANCE
