"""The selective scan on a CPU: sequential over tokens, vectorised over channels, in constant extra memory a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.compiled import compiled

Floats = NDArray[Any]

CHUNK = 32
"""Tokens between the states that the forward pass keeps; the backward pass recomputes those between."""

WIDTH = 128
"""Channels of one job."""


@compiled(fastmath={"contract"})
def _decay(delta: Floats, A: Floats, whole: NDArray[np.int32], powers: Floats, decay: Floats) -> None:
    """`decay` = exp(delta·A), arguments at most 0, to 2 units in the last place; a library's exp does not vectorise.

    `whole` and `powers` are one buffer seen as int32 and float32.
    """
    for j in range(decay.shape[0]):
        x = max(delta[j] * A[j], np.float32(-87.0))
        shifted = x * np.float32(1.4426950408889634) + np.float32(12582912.0)
        k = shifted - np.float32(12582912.0)
        r = x - k * np.float32(0.693359375)
        r = r + k * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(0.5)
        decay[j] = p * r * r + r + np.float32(1.0)
        whole[j] = (np.int32(k) + np.int32(127)) << np.int32(23)
    for j in range(decay.shape[0]):
        decay[j] *= powers[j]


@compiled(fastmath={"contract"})
def _forward(
    u: Floats, delta: Floats, A: Floats, B: Floats, C: Floats, D: Floats, low: int, high: int, y: Floats,
    kept: Floats,
) -> None:  # fmt: skip
    """Outputs `y` (L×d) and `kept` states (chunks×n×d) of the channels low to high of one sequence; A is n×d."""
    width, states = high - low, A.shape[0]
    h = np.zeros((states, width), np.float32)
    inputs, decay = np.empty(width, np.float32), np.empty(width, np.float32)
    whole = np.empty(width, np.int32)
    powers = whole.view(np.float32)
    for t in range(u.shape[0]):
        if t % CHUNK == 0:
            kept[t // CHUNK, :, low:high] = h
        steps, out = delta[t, low:high], y[t, low:high]
        for j in range(width):
            inputs[j] = steps[j] * u[t, low + j]
            out[j] = D[low + j] * u[t, low + j]
        for s in range(states):
            _decay(steps, A[s, low:high], whole, powers, decay)
            b, c, row = B[t, s], C[t, s], h[s]
            for j in range(width):
                row[j] = decay[j] * row[j] + inputs[j] * b
                out[j] += c * row[j]


@compiled(fastmath={"contract"})
def _replay(
    u: Floats, delta: Floats, A: Floats, B: Floats, first: int, count: int, low: int, high: int, h: Floats,
    decays: Floats,
) -> None:  # fmt: skip
    """States h[1 …] (and decays) of `count` tokens from `first` on, from the state h[0]."""
    width = high - low
    inputs = np.empty(width, np.float32)
    whole = np.empty(width, np.int32)
    powers = whole.view(np.float32)
    for k in range(count):
        t = first + k
        steps = delta[t, low:high]
        for j in range(width):
            inputs[j] = steps[j] * u[t, low + j]
        for s in range(A.shape[0]):
            _decay(steps, A[s, low:high], whole, powers, decays[k, s])
            b, before, after, decay = B[t, s], h[k, s], h[k + 1, s], decays[k, s]
            for j in range(width):
                after[j] = decay[j] * before[j] + inputs[j] * b


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _token(
    g_y: Floats, inputs: Floats, steps: Floats, A: Floats, b: Floats, C: Floats, h: Floats, h_next: Floats,
    decay: Floats, g_h: Floats, g_inputs: Floats, g_steps: Floats, g_A: Floats, g_B: Floats, g_C: Floats,
) -> None:  # fmt: skip
    """Gradients of one token's step; `g_h` holds the gradient of the state after it, and then of the one before.

    Many short loops: with more arrays in one, the compiler gives up proving that they do not overlap and does
    not vectorise.
    """
    width = g_y.shape[0]
    for s in range(A.shape[0]):
        c, b_s, g, last, exponent = C[s], b[s], g_h[s], h[s], h_next[s]
        sum_b, sum_c = np.float32(0.0), np.float32(0.0)
        for j in range(width):
            sum_c += g_y[j] * exponent[j]
        for j in range(width):
            g[j] += c * g_y[j]
        for j in range(width):
            sum_b += g[j] * inputs[j]
        for j in range(width):
            g_inputs[j] += g[j] * b_s
        for j in range(width):
            g[j] *= decay[s, j]
        for j in range(width):
            exponent[j] = g[j] * last[j]
        for j in range(width):
            g_A[s, j] += exponent[j] * steps[j]
        for j in range(width):
            g_steps[j] += exponent[j] * A[s, j]
        g_B[s], g_C[s] = sum_b, sum_c


@compiled
def _backward(
    g_y: Floats, u: Floats, delta: Floats, A: Floats, B: Floats, C: Floats, D: Floats, kept: Floats, low: int,
    high: int, g_u: Floats, g_delta: Floats, g_A: Floats, g_B: Floats, g_C: Floats,
) -> None:  # fmt: skip
    """Gradients of the channels low to high of one sequence; g_A (n×d float64) adds up, g_B and g_C are this job's."""
    width, states, length = high - low, A.shape[0], u.shape[0]
    h = np.empty((CHUNK + 1, states, width), np.float32)
    decays = np.empty((CHUNK, states, width), np.float32)
    g_h = np.zeros((states, width), np.float32)
    inputs, g_inputs = np.empty(width, np.float32), np.empty(width, np.float32)
    block = np.ascontiguousarray(A[:, low:high])
    for chunk in range(kept.shape[0] - 1, -1, -1):
        first = chunk * CHUNK
        count = min(CHUNK, length - first)
        h[0] = kept[chunk, :, low:high]
        _replay(u, delta, A, B, first, count, low, high, h, decays)
        g_chunk = np.zeros((states, width), np.float32)
        for k in range(count - 1, -1, -1):
            t = first + k
            steps, g_steps = delta[t, low:high], g_delta[t, low:high]
            for j in range(width):
                inputs[j] = steps[j] * u[t, low + j]
                g_inputs[j] = np.float32(0.0)
                g_steps[j] = np.float32(0.0)
            _token(
                g_y[t, low:high], inputs, steps, block, B[t], C[t], h[k], h[k + 1], decays[k],
                g_h, g_inputs, g_steps, g_chunk, g_B[t], g_C[t],
            )  # fmt: skip
            for j in range(width):
                g_u[t, low + j] = g_inputs[j] * steps[j] + D[low + j] * g_y[t, low + j]
                g_steps[j] += g_inputs[j] * u[t, low + j]
        for s in range(states):
            for j in range(width):
                g_A[s, low + j] += g_chunk[s, j]


class CpuScan(torch.autograd.Function):
    """float32 on the CPU; memory beyond inputs and outputs is tokens × channels × states / 32 numbers."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        """See `reference_scan`."""
        u, delta, B, C = (x.detach().contiguous() for x in (u, delta, B, C))
        turned = A.detach().t().contiguous()
        batch, length, channels = u.shape
        y = torch.empty_like(u)
        kept = u.new_empty(batch, -(-length // CHUNK), A.shape[1], channels)
        arrays = [x.numpy() for x in (u, delta, turned, B, C, D.detach().contiguous(), y, kept)]
        U, S, At, Bs, Cs, Ds, Y, K = arrays

        def job(i: int, low: int, high: int) -> None:
            _forward(U[i], S[i], At, Bs[i], Cs[i], Ds, low, high, Y[i], K[i])

        _in_parallel(job, _blocks(batch, channels))
        ctx.save_for_backward(u, delta, turned, B, C, D, kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all six inputs."""
        u, delta, turned, B, C, D, kept = ctx.saved_tensors
        batch, _, channels = u.shape
        blocks = _blocks(batch, channels)
        g_y = g_y.contiguous()
        g_u, g_delta = torch.empty_like(u), torch.empty_like(u)
        g_A = torch.zeros(batch, *turned.shape, dtype=torch.float64)
        parts = -(-channels // WIDTH)
        g_B, g_C = (u.new_empty(parts, *B.shape) for _ in range(2))
        given = [x.detach().numpy() for x in (g_y, u, delta, B, C, kept, g_u, g_delta, g_A, g_B, g_C)]
        G, U, S, Bs, Cs, K, GU, GS, GA, GB, GC = given
        At, Ds = turned.numpy(), D.detach().contiguous().numpy()

        def job(i: int, low: int, high: int) -> None:
            part = low // WIDTH
            _backward(
                G[i], U[i], S[i], At, Bs[i], Cs[i], Ds, K[i], low, high,
                GU[i], GS[i], GA[i], GB[part, i], GC[part, i],
            )  # fmt: skip

        _in_parallel(job, blocks)
        g_D = (g_y * u).flatten(0, 1).sum(0)
        return g_u, g_delta, g_A.sum(0).t().to(u.dtype), g_B.sum(0), g_C.sum(0), g_D


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
