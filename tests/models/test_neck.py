"""The neck's shapes and its bilinear start."""

import pytest
import torch

from monokd.models.neck import Upsample


def test_upsampling_starts_bilinear() -> None:
    """Away from the border a linear ramp goes through unchanged, at twice the resolution and half a pixel's phase."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    fine = Upsample(1, 2)((3 * y + x)[None, None])[0, 0]
    row, column = torch.meshgrid((torch.arange(12) + 0.5) / 2 - 0.5, (torch.arange(16) + 0.5) / 2 - 0.5, indexing="ij")
    torch.testing.assert_close(fine[1:-1, 1:-1], (3 * row + column)[1:-1, 1:-1])


@pytest.mark.parametrize("factor", [2, 4])
def test_both_ways_to_upsample_are_equal(factor: int) -> None:
    """Values and gradients of learned weights."""
    torch.manual_seed(0)
    module = Upsample(5, factor)
    torch.nn.init.normal_(module.weight)
    x = torch.randn(2, 5, 3, 7, requires_grad=True)
    results = []
    for module.shuffled in (False, True):
        y = module(x)
        results.append([y, *torch.autograd.grad(y, [x, module.weight], torch.arange(y.numel()).view(y.shape).cos())])
    assert results[0][0].shape == (2, 5, 3 * factor, 7 * factor)
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-6)
