"""Every form of the selective scan against the sequential reference."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monokd.distill import scan_chunked, selective_scan
from monokd.distill.scan_chunked import ChunkedScan, linear_scan
from monokd.distill.scan_cpu import WIDTH, CpuScan
from monokd.distill.scan_loops import CHUNK
from monokd.distill.selective_scan import reference_scan

TOLERANCE = 1e-4
Scan = Callable[..., Tensor]


def inputs(batch: int, length: int, channels: int, states: int = 16, steps: float = 0.0) -> list[Tensor]:
    """float32 leaves; `steps` shifts the step sizes, e^steps about."""
    g = torch.Generator().manual_seed(batch + length)
    u, raw = (torch.randn(batch, length, channels, generator=g) for _ in range(2))
    A = -torch.arange(1.0, states + 1) * torch.exp(0.3 * torch.randn(channels, states, generator=g))
    B, C = (torch.randn(batch, length, states, generator=g) for _ in range(2))
    D = torch.randn(channels, generator=g)
    return [x.requires_grad_() for x in (u, F.softplus(raw + steps), A, B, C, D)]


def relative_errors(scan: Scan, given: list[Tensor]) -> list[float]:
    """Of the output and the six gradients, against the reference in float64, relative to the largest number."""
    exact = [x.detach().double().requires_grad_() for x in given]
    found, expected = scan(*given), reference_scan(*exact)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(1)).to(found.device)
    gradients = torch.autograd.grad(found, given, weight), torch.autograd.grad(expected, exact, weight.double())
    pairs = zip((found, *gradients[0]), (expected, *gradients[1]), strict=True)
    return [float((a.double() - b).abs().max().detach() / b.abs().max().detach()) for a, b in pairs]


FORMS: dict[str, Scan] = {"cpu": CpuScan.apply, "chunked": ChunkedScan.apply}


@pytest.fixture(params=FORMS)
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Each form, the chunked one with chunks small enough to be many."""
    monkeypatch.setattr(scan_chunked, "ELEMENTS", 20_000)
    return FORMS[request.param]


@pytest.mark.parametrize(
    ("batch", "length", "channels", "states", "steps"),
    [
        (2, 3 * CHUNK, 8, 16, 0.0),
        (1, 3 * CHUNK + 5, WIDTH + 3, 16, -5.0),
        (2, 1, 4, 16, 0.0),
        (1, CHUNK - 1, 3, 4, 3.0),
        (1, 900, 16, 16, -8.0),
    ],
)
def test_forward_and_gradients(scan: Scan, batch: int, length: int, channels: int, states: int, steps: float) -> None:
    """Whole and partial chunks and channel blocks, one token, other numbers of states, long and short memory."""
    assert max(relative_errors(scan, inputs(batch, length, channels, states, steps))) < TOLERANCE


@pytest.mark.parametrize("form", FORMS)
def test_at_the_published_length(form: str) -> None:
    """30,720 tokens, the stride-4 map of the published size, with steps that remember for thousands of tokens."""
    assert max(relative_errors(FORMS[form], inputs(1, 30_720, 2, steps=-7.0))) < TOLERANCE


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40))
def test_doubling_steps_are_the_recursion(length: int) -> None:
    g = torch.Generator().manual_seed(length)
    decay, x = (torch.rand(2, length, 3, generator=g, dtype=torch.float64) for _ in range(2))
    states, product = linear_scan(decay, x)
    h, p = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    for t in range(length):
        h, p = decay[:, t] * h + x[:, t], decay[:, t] * p
        torch.testing.assert_close(states[:, t], h)
        torch.testing.assert_close(product[:, t], p)


def test_chunked_gradients_by_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_chunked, "ELEMENTS", 40)
    given = [x.detach().double().requires_grad_() for x in inputs(2, 7, 2, 3)]
    assert torch.autograd.gradcheck(ChunkedScan.apply, given)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    before = torch.get_num_threads()
    given = inputs(3, 100, WIDTH + 8)
    single = torch.autograd.grad(FORMS["cpu"](*given).sum(), given)
    try:
        torch.set_num_threads(threads)
        again = torch.autograd.grad(FORMS["cpu"](*given).sum(), given)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(single, again, strict=True))


@pytest.mark.parametrize(("dtype", "form"), [(torch.float32, CpuScan), (torch.float64, ChunkedScan)])
def test_the_cpu_uses_compiled_loops_in_float32(dtype: torch.dtype, form: type) -> None:
    given = [x.detach().to(dtype).requires_grad_() for x in inputs(1, 4, 2)]
    found = selective_scan.selective_scan(*given)
    torch.testing.assert_close(found, reference_scan(*given))
    assert found.grad_fn is not None
    assert found.grad_fn.name() == f"{form.__name__}Backward"


def test_mamba_ssm_is_called_in_its_own_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel takes batch×d×L and batch×n×L; here a stand-in on that layout, asked as if on CUDA."""

    def fake(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        turned = [x.transpose(1, 2) for x in (u, delta, B, C)]
        return reference_scan(turned[0], turned[1], A, turned[2], turned[3], D).transpose(1, 2)

    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = fake  # type: ignore[attr-defined]
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    selective_scan._mamba_scan.cache_clear()
    given = inputs(2, 5, 3, 4)
    try:
        kernel = selective_scan._mamba_scan()
        assert kernel is not None
        found = selective_scan.turned(kernel, *given)
    finally:
        selective_scan._mamba_scan.cache_clear()
    torch.testing.assert_close(found, reference_scan(*given))


def test_without_mamba_ssm_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    selective_scan._mamba_scan.cache_clear()
    assert selective_scan._mamba_scan() is None
    selective_scan._mamba_scan.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda() -> None:
    given = [x.detach().cuda().requires_grad_() for x in inputs(2, 700, 8)]
    assert max(relative_errors(selective_scan.selective_scan, given)) < TOLERANCE
