"""The selective scan of Mamba (Gu and Dao 2023): a sequential reference, and the fastest exact form at hand."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from monokd.distill.scan_chunked import ChunkedScan


def reference_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """One token after the other: h ← exp(δA)·h + δB·u, y = C·h + D·u; what every faster form must equal.

    Args:
        u: batch×L×d inputs.
        delta: batch×L×d positive step sizes.
        A: d×n negative decay rates.
        B: batch×L×n.
        C: batch×L×n.
        D: d, direct path.

    Returns:
        batch×L×d.
    """
    state = u.new_zeros(u.shape[0], u.shape[2], A.shape[1])
    outputs = []
    for x, step, b, c in zip(u.unbind(1), delta.unbind(1), B.unbind(1), C.unbind(1), strict=True):
        state = torch.exp(step[..., None] * A) * state + (step * x)[..., None] * b[:, None]
        outputs.append((state * c[:, None]).sum(-1))
    return torch.stack(outputs, 1) + D * u


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """`reference_scan` in parallel, with memory that does not grow with tokens × channels × states.

    On CUDA by mamba-ssm where it is installed; on the CPU in float32 by compiled loops; else in chunks.
    Arguments as those of `reference_scan`.
    """
    if u.is_cuda and (fused := _mamba_scan()) is not None:
        return turned(fused, u, delta, A, B, C, D)
    single = all(x.dtype == torch.float32 for x in (u, delta, A, B, C, D))
    if u.device.type == "cpu" and single:
        from monokd.distill.scan_cpu import CpuScan  # noqa: PLC0415  (numba loads slowly; few runs need it)

        out: Tensor = CpuScan.apply(u, delta, A, B, C, D)  # type: ignore[no-untyped-call]
        return out
    chunked: Tensor = ChunkedScan.apply(u, delta, A, B, C, D)  # type: ignore[no-untyped-call]
    return chunked


def turned(
    kernel: Callable[..., Tensor], u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor
) -> Tensor:
    """`kernel` on batch×d×L and batch×n×L copies of the sequences, as mamba-ssm's takes them."""
    u, delta, B, C = (x.transpose(1, 2).contiguous() for x in (u, delta, B, C))
    return kernel(u, delta, A, B, C, D).transpose(1, 2)


@cache
def _mamba_scan() -> Callable[..., Tensor] | None:
    """mamba-ssm's kernel on batch×d×L inputs, or None."""
    try:
        module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    except ImportError:
        return None
    scan: Callable[..., Tensor] = module.selective_scan_fn
    return scan
