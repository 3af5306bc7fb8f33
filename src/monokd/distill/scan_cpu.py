"""The selective scan on a CPU, differentiable: compiled loops over tokens, states and channels.

The innermost loops run over channels. A compiler vectorises them only where few arrays can overlap: hence so many.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from monokd.compiled import compiled
from monokd.typing import Floats32

FAST = frozenset({"contract", "reassoc", "nsz"})
CHUNK = 16  # tokens between the states that the forward pass keeps; the backward pass computes those between again
SHIFT, BIAS, LOWEST = np.int32(23), np.int32(127), np.float32(-126.0)  # of float32's exponent
TAYLOR = tuple(np.float32(math.log(2) ** k / math.factorial(k)) for k in range(7))
HALF, ZERO = np.float32(0.5), np.float32(0.0)


class Scan(NamedTuple):
    """Arrays of a batch: u and delta batch×L×d, A n×d in powers of two, B and C batch×L×n, D d, all contiguous."""

    u: Floats32
    delta: Floats32
    A: Floats32
    B: Floats32
    C: Floats32
    D: Floats32


class Gradients(NamedTuple):
    """Arrays to fill: of δ·u and of δ by way of the decays (batch×L×d), of A (batch×n×d), of B and C (batch×L×n)."""

    inputs: Floats32
    steps: Floats32
    A: Floats32
    B: Floats32
    C: Floats32


@compiled(fastmath=FAST, inline=True)
def _exp2(x: np.float32) -> np.float32:
    """2^x for x ≤ 0, to float32's precision: a shift of the exponent, and Taylor's series for the rest."""
    x = LOWEST if x < LOWEST else x
    whole = np.int32(x - HALF)
    f = x - np.float32(whole)
    p = TAYLOR[5] + f * TAYLOR[6]
    p = TAYLOR[3] + f * (TAYLOR[4] + f * p)
    p = TAYLOR[0] + f * (TAYLOR[1] + f * (TAYLOR[2] + f * p))
    power: np.float32 = np.int32((whole + BIAS) << SHIFT).view(np.float32)
    return p * power


@compiled(fastmath=FAST)
def _multiply(a: Floats32, b: Floats32, out: Floats32) -> None:
    for d in range(out.shape[0]):
        out[d] = a[d] * b[d]


@compiled(fastmath=FAST)
def _step(delta: Floats32, A: Floats32, inputs: Floats32, b: float, c: float, h: Floats32, y: Floats32) -> None:
    """One token of one state: h becomes exp(δA)·h + b·inputs, and y gains c·h."""
    for d in range(h.shape[0]):
        state = _exp2(delta[d] * A[d]) * h[d] + b * inputs[d]
        h[d] = state
        y[d] += c * state


@compiled(fastmath=FAST)
def _replay(
    delta: Floats32, A: Floats32, inputs: Floats32, b: float, before: Floats32, after: Floats32, decay: Floats32
) -> None:
    """The same, with decays and states of every token kept."""
    for d in range(after.shape[0]):
        decay[d] = _exp2(delta[d] * A[d])
        after[d] = decay[d] * before[d] + b * inputs[d]


@compiled(fastmath=FAST)
def forward(scan: Scan, i: int, y: Floats32, kept: Floats32) -> None:
    """Outputs of sequence i, and its states before every `CHUNK`-th token (chunks×n×d)."""
    u, delta = scan.u[i], scan.delta[i]
    h, inputs = np.zeros(scan.A.shape, np.float32), np.empty(u.shape[1], np.float32)
    for t in range(u.shape[0]):
        if t % CHUNK == 0:
            kept[i, t // CHUNK] = h
        _multiply(delta[t], u[t], inputs)
        _multiply(scan.D, u[t], y[i, t])
        for n in range(scan.A.shape[0]):
            _step(delta[t], scan.A[n], inputs, scan.B[i, t, n], scan.C[i, t, n], h[n], y[i, t])


@compiled(fastmath=FAST)
def _output_gradient(
    g: Floats32, g_y: Floats32, c: float, b: float, h: Floats32, inputs: Floats32, g_inputs: Floats32
) -> tuple[np.float32, np.float32]:
    """Add to a state's gradient g what comes from y; return the gradients of b and c."""
    g_b, g_c = ZERO, ZERO
    for d in range(g.shape[0]):
        here = g[d] + c * g_y[d]
        g_c += g_y[d] * h[d]
        g_b += here * inputs[d]
        g_inputs[d] += here * b
        g[d] = here
    return g_b, g_c


@compiled(fastmath=FAST)
def _carry_back(g: Floats32, decay: Floats32, before: Floats32, g_exponent: Floats32) -> None:
    """From a state's gradient to that of the one before, and of the decay's exponent."""
    for d in range(g.shape[0]):
        carried = g[d] * decay[d]
        g[d] = carried
        g_exponent[d] = carried * before[d]


@compiled(fastmath=FAST)
def _split(g_exponent: Floats32, delta: Floats32, A: Floats32, g_A: Floats32, g_steps: Floats32) -> None:
    for d in range(g_exponent.shape[0]):
        g_A[d] += g_exponent[d] * delta[d]
        g_steps[d] += g_exponent[d] * A[d]


@compiled(fastmath=FAST)
def backward(scan: Scan, i: int, kept: Floats32, g_y: Floats32, out: Gradients) -> None:
    """Gradients of sequence i, added to `out`."""
    u, delta, (states, width) = scan.u[i], scan.delta[i], scan.A.shape
    h = np.empty((CHUNK + 1, states, width), np.float32)
    decay = np.empty((CHUNK, states, width), np.float32)
    inputs = np.empty((CHUNK, width), np.float32)
    g, g_A = np.zeros((states, width), np.float32), np.empty((states, width), np.float32)
    g_exponent = np.empty(width, np.float32)
    for chunk in range((u.shape[0] - 1) // CHUNK, -1, -1):
        first = chunk * CHUNK
        count = min(CHUNK, u.shape[0] - first)
        h[0], g_A[:] = kept[i, chunk], ZERO
        for k in range(count):
            t = first + k
            _multiply(delta[t], u[t], inputs[k])
            for n in range(states):
                _replay(delta[t], scan.A[n], inputs[k], scan.B[i, t, n], h[k, n], h[k + 1, n], decay[k, n])
        for k in range(count - 1, -1, -1):
            t = first + k
            for n in range(states):
                out.B[i, t, n], out.C[i, t, n] = _output_gradient(
                    g[n], g_y[i, t], scan.C[i, t, n], scan.B[i, t, n], h[k + 1, n], inputs[k], out.inputs[i, t]
                )
                _carry_back(g[n], decay[k, n], h[k, n], g_exponent)
                _split(g_exponent, delta[t], scan.A[n], g_A[n], out.steps[i, t])
        out.A[i] += g_A


class CpuScan(torch.autograd.Function):
    """float32 on the CPU; memory beyond inputs and outputs is tokens × channels × states / `CHUNK` numbers."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        """See `reference_scan`."""
        tensors = [x.detach().contiguous() for x in (u, delta, (A / math.log(2)).t(), B, C, D)]
        scan, y = Scan(*(x.numpy() for x in tensors)), torch.empty_like(tensors[0])
        kept = u.new_empty(len(u), -(-u.shape[1] // CHUNK), *tensors[2].shape)
        outputs = y.numpy(), kept.numpy()
        _each(lambda i: forward(scan, i, *outputs), len(u))
        ctx.save_for_backward(*tensors, kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all six inputs."""
        *tensors, kept = ctx.saved_tensors
        u, delta, A, B, C, D = tensors
        g_y, g_A = g_y.contiguous(), A.new_zeros(len(u), *A.shape, dtype=torch.float64)
        g_inputs, g_steps, g_B, g_C = (torch.zeros_like(x) for x in (u, u, B, C))
        scan = Scan(*(x.numpy() for x in tensors))
        out = Gradients(*(x.numpy() for x in (g_inputs, g_steps, g_A, g_B, g_C)))
        arrays = kept.numpy(), g_y.numpy()
        _each(lambda i: backward(scan, i, *arrays, out), len(u))
        g_u = g_inputs * delta + D * g_y
        g_delta = g_inputs * u + g_steps * math.log(2)
        return g_u, g_delta, g_A.sum(0).t().to(u.dtype), g_B, g_C, (g_y * u).flatten(0, 1).sum(0)


def _each(job: Callable[[int], None], count: int) -> None:
    """Run `job` for every sequence, on as many threads as torch uses."""
    with ThreadPoolExecutor(min(torch.get_num_threads(), count)) as pool:
        list(pool.map(job, range(count)))
