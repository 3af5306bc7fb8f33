"""The neck's bilinear start."""

from __future__ import annotations

import torch

from monokd.models.neck import Upsample


def test_upsampling_starts_bilinear() -> None:
    """Away from the border a linear ramp goes through unchanged, at twice the resolution and half a pixel's phase."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    fine = Upsample(1, 2)((3 * y + x)[None, None])[0, 0]
    row, column = torch.meshgrid((torch.arange(12) + 0.5) / 2 - 0.5, (torch.arange(16) + 0.5) / 2 - 0.5, indexing="ij")
    torch.testing.assert_close(fine[1:-1, 1:-1], (3 * row + column)[1:-1, 1:-1])
