"""Focal loss on heatmaps."""

from __future__ import annotations

import torch
from torch import Tensor

from monokd.losses.means import Mean

MARGIN = 1e-4
"""Probabilities are clamped to [MARGIN, 1 − MARGIN]."""


def heatmap_focal(logits: Tensor, target: Tensor, ignored: Tensor | None = None) -> Mean:
    """Focal loss of CornerNet (Law and Deng 2018; α 2, β 4) over the number of peaks.

    Args:
        logits: B×C×h×w.
        target: B×C×h×w in [0, 1], 1 at peaks.
        ignored: B×h×w bool, cells that do not count.

    Returns:
        Without any peak, the plain sum over background cells.
    """
    probability = torch.sigmoid(logits.float()).clamp(MARGIN, 1 - MARGIN)
    peak = target == 1
    hit = torch.log(probability) * (1 - probability) ** 2
    miss = torch.log(1 - probability) * probability**2 * (1 - target) ** 4
    cells = torch.where(peak, hit, miss)
    if ignored is not None:
        cells = cells.masked_fill(ignored[:, None], 0.0)
    return Mean(-cells.sum(), peak.sum())
