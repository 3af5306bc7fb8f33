"""The selective scan on a CPU, differentiable: compiled loops, in constant extra memory a token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.distill.scan_loops import CHUNK, LANES, Floats, backward, forward

WIDTH = 128
"""Channels of one job."""


class CpuScan(torch.autograd.Function):
    """float32 on the CPU; memory beyond inputs and outputs is tokens × channels × states / 32 numbers."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        """See `reference_scan`."""
        ctx.channels = u.shape[-1]
        u, delta, A, D = (_padded(x.detach(), x.shape[-1]) for x in (u, delta, A.t() / math.log(2), D))
        B, C = (x.detach().contiguous() for x in (B, C))
        batch, length, channels = u.shape
        y = torch.empty_like(u)
        kept = u.new_empty(batch, -(-length // CHUNK), A.shape[0], channels)
        U, S, Bs, Cs, Y, K = (_rows(x) for x in (u, delta, B, C, y, kept))
        At, Ds = _flat(A), _flat(D)

        def job(i: int, low: int, high: int) -> None:
            forward(U[i], S[i], At, Bs[i], Cs[i], Ds, low, high, Y[i], K[i])

        _in_parallel(job, _blocks(batch, channels))
        ctx.save_for_backward(u, delta, A, B, C, D, kept)
        return y if channels == ctx.channels else y[..., : ctx.channels].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all six inputs."""
        u, delta, A, B, C, D, kept = ctx.saved_tensors
        batch, _, channels = u.shape
        g_y = _padded(g_y, ctx.channels)
        g_u, g_delta = torch.empty_like(u), torch.empty_like(u)
        g_A, g_D = (torch.zeros(batch, *x.shape, dtype=torch.float64) for x in (A, D))
        g_B, g_C = (u.new_empty(batch, -(-channels // WIDTH), *B.shape[1:]) for _ in range(2))
        G, U, S, Bs, Cs, K = (_rows(x) for x in (g_y, u, delta, B, C, kept))
        GU, GS, GA, GD = (_rows(x) for x in (g_u, g_delta, g_A, g_D))
        GB, GC = (x.flatten(2).numpy() for x in (g_B, g_C))
        At, Ds = _flat(A), _flat(D)

        def job(i: int, low: int, high: int) -> None:
            part = low // WIDTH
            backward(
                G[i], U[i], S[i], At, Bs[i], Cs[i], Ds, K[i], low, high,
                GU[i], GS[i], GA[i], GB[i, part], GC[i, part], GD[i],
            )  # fmt: skip

        _in_parallel(job, _blocks(batch, channels))
        own = slice(ctx.channels)
        of_A, of_D = g_A.sum(0).t()[own].to(u.dtype), g_D.sum(0)[own].to(u.dtype)
        return g_u[..., own], g_delta[..., own], of_A, g_B.sum(1), g_C.sum(1), of_D


def _padded(x: Tensor, channels: int) -> Tensor:
    """Contiguous, with channels of zeros at the end that fill the last vector."""
    missing = -channels % LANES
    return F.pad(x, (0, missing)) if missing else x.contiguous()


def _rows(x: Tensor) -> Floats:
    return x.flatten(1).numpy()


def _flat(x: Tensor) -> Floats:
    return x.flatten().numpy()


def _blocks(batch: int, channels: int) -> list[tuple[int, int, int]]:
    return [(i, low, min(low + WIDTH, channels)) for i in range(batch) for low in range(0, channels, WIDTH)]


def _in_parallel(job: Callable[[int, int, int], None], blocks: Iterable[tuple[int, int, int]]) -> None:
    """Run the jobs on as many threads as torch uses; each writes its own part, so the order does not matter."""
    blocks = list(blocks)
    threads = min(torch.get_num_threads(), len(blocks))
    if threads == 1:
        for block in blocks:
            job(*block)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda block: job(*block), blocks))
