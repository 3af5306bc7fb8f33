"""The selective scan of Mamba (Gu and Dao 2023, sec. 3)."""

from __future__ import annotations

import torch
from torch import Tensor


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
    for t in range(u.shape[1]):
        decay = torch.exp(delta[:, t, :, None] * A)
        state = decay * state + (delta[:, t] * u[:, t])[:, :, None] * B[:, t, None]
        outputs.append((state * C[:, t, None]).sum(-1))
    return torch.stack(outputs, 1) + D * u


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The same numbers as `reference_scan`."""
    return reference_scan(u, delta, A, B, C, D)
