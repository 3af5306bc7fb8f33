"""The selective scan of Mamba (Gu and Dao 2023): a sequential reference, and what is fast at hand."""

import importlib
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from monokd.errors import say


def reference_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan one token after the other: h ← exp(δA)·h + δB·u, y = C·h + D·u; what every faster form must equal.

    Inputs u, positive step sizes δ and outputs are batch×L×d, negative decay rates A d×n, B and C batch×L×n, D d.
    """
    state = u.new_zeros(u.shape[0], u.shape[2], A.shape[1])
    outputs = []
    for x, step, b, c in zip(u.unbind(1), delta.unbind(1), B.unbind(1), C.unbind(1), strict=True):
        state = torch.exp(step[..., None] * A) * state + (step * x)[..., None] * b[:, None]
        outputs.append((state * c[:, None]).sum(-1))
    return torch.stack(outputs, 1) + D * u


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Return what `reference_scan` does, faster, in float32, without the states of all tokens in memory.

    On CUDA by mamba-ssm where it is installed, whose gradients are atomic sums: not the same bits in every run.
    Elsewhere by compiled loops on the CPU. Arguments are those of `reference_scan`.
    """
    inputs = [x.float() for x in (u, delta, A, B, C, D)]
    if u.is_cuda and (kernel := _mamba_scan()) is not None:
        return in_mamba_layout(kernel, *inputs).to(u.dtype)
    from monokd.distill.scan_cpu import CpuScan  # noqa: PLC0415  (numba loads slowly; few runs need it)

    y: Tensor = CpuScan.apply(*(x.cpu() for x in inputs))  # type: ignore[no-untyped-call]
    return y.to(u)


def in_mamba_layout(
    kernel: Callable[..., Tensor], u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor
) -> Tensor:
    """Call `kernel` on batch×d×L and batch×n×L copies of the sequences, as mamba-ssm's takes them."""
    u, delta, B, C = (x.transpose(1, 2).contiguous() for x in (u, delta, B, C))
    return kernel(u, delta, A, B, C, D).transpose(1, 2)


@cache
def _mamba_scan() -> Callable[..., Tensor] | None:
    """Load mamba-ssm's kernel on batch×d×L inputs, or None; says once which scan runs, and why."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
        scan: Callable[..., Tensor] = module.selective_scan_fn
    except Exception as error:  # a broken build fails in many ways
        say(f"selective scan: on the CPU, which is slow: mamba-ssm does not load ({error})")
        return None
    say("selective scan: mamba-ssm")
    return scan
