"""The selective scan in chunks of doubling steps: any device and type, no kernel of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ELEMENTS = 1 << 22
"""Tokens × channels × states of a chunk, all sequences together: what the scan holds at a time, about 10 times over."""


def linear_scan(decay: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """h_t = decay_t·h_{t−1} + inputs_t along dimension 1 from h = 0, in log₂ L doubling steps.

    Args:
        decay: batch×L×….
        inputs: batch×L×….

    Returns:
        The states, and the products of all decays up to each token, which carry an initial state.
    """
    step, length = 1, decay.shape[1]
    while step < length:
        carried = torch.addcmul(inputs[:, step:], decay[:, step:], inputs[:, :-step])
        inputs = torch.cat([inputs[:, :step], carried], 1)
        decay = torch.cat([decay[:, :step], decay[:, step:] * decay[:, :-step]], 1)
        step *= 2
    return inputs, decay


def _states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """States after every token of a chunk (batch×L×d×n), and the tokens' own decays."""
    decay = torch.exp(delta[..., None] * A)
    states, product = linear_scan(decay, (delta * u)[..., None] * B[:, :, None])
    return torch.addcmul(states, product, start[:, None]), decay


class ChunkedScan(torch.autograd.Function):
    """Keeps one state a chunk and recomputes the others, so that memory grows with tokens × channels only."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        """See `reference_scan`."""
        batch, length, channels = u.shape
        size = max(1, ELEMENTS // (batch * channels * A.shape[1]))
        state = u.new_zeros(batch, channels, A.shape[1])
        kept, outputs = [], []
        for first in range(0, length, size):
            part = slice(first, first + size)
            kept.append(state)
            states, _ = _states(u[:, part], delta[:, part], A, B[:, part], state)
            outputs.append((states @ C[:, part, :, None])[..., 0])
            state = states[:, -1].clone()
        ctx.size = size
        ctx.save_for_backward(u, delta, A, B, C, D, torch.stack(kept))
        return torch.cat(outputs, 1) + D * u

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all six inputs."""
        u, delta, A, B, C, D, kept = ctx.saved_tensors
        g_u, g_delta, g_B, g_C = D * g_y, torch.empty_like(delta), torch.empty_like(B), torch.empty_like(C)
        g_A = torch.zeros_like(A)
        after = torch.zeros_like(kept[0])
        for chunk in range(len(kept) - 1, -1, -1):
            part = slice(chunk * ctx.size, (chunk + 1) * ctx.size)
            x, steps, b, c, g = u[:, part], delta[:, part], B[:, part], C[:, part], g_y[:, part]
            states, decay = _states(x, steps, A, b, kept[chunk])
            g_states, after = _state_gradients(g, c, decay, after)
            g_C[:, part] = (g[:, :, None] @ states)[:, :, 0]
            g_B[:, part] = ((steps * x)[:, :, None] @ g_states)[:, :, 0]
            g_inputs = (g_states @ b[..., None])[..., 0]
            before = torch.cat([kept[chunk][:, None], states[:, :-1]], 1)
            exponent = g_states * before * decay
            g_A += torch.einsum("bldn,bld->dn", exponent, steps)
            g_u[:, part] += g_inputs * steps
            g_delta[:, part] = (exponent * A).sum(-1) + g_inputs * x
        return g_u, g_delta, g_A, g_B, g_C, (g_y * u).flatten(0, 1).sum(0)


def _state_gradients(g_y: Tensor, C: Tensor, decay: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a chunk's states, the same recursion backwards, and what flows into the chunk before.

    `after` is what flows in from the next chunk: the decay of its first token times the gradient of its first state.
    """
    direct = g_y[..., None] * C[:, :, None]
    direct = torch.cat([direct[:, :-1], direct[:, -1:] + after[:, None]], 1)
    following = torch.cat([decay[:, 1:], torch.ones_like(decay[:, :1])], 1)
    gradients, _ = linear_scan(following.flip(1), direct.flip(1))
    gradients = gradients.flip(1)
    return gradients, decay[:, 0] * gradients[:, 0]
