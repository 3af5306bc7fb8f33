"""The neck's shapes and its bilinear start."""

from __future__ import annotations

import pytest
import torch

from monokd.models.neck import DLAUp, Upsample, Upsampling

METHODS: tuple[Upsampling, ...] = ("transposed", "shuffled")


def maps(channels: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.randn(2, c, 32 // 2**i, 48 // 2**i) for i, c in enumerate(channels)]


def test_fused_maps_keep_strides_and_channels() -> None:
    inputs = maps((8, 16, 24, 32))
    fused = DLAUp((8, 16, 24, 32))(inputs)
    assert [m.shape for m in fused] == [m.shape for m in inputs]
    assert fused[-1] is inputs[-1]


def test_inputs_are_left_alone() -> None:
    """The distillation reads the backbone's maps after the neck ran."""
    inputs = maps((8, 16))
    kept = [m.clone() for m in inputs]
    DLAUp((8, 16))(inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))


@pytest.mark.parametrize("method", ["transposed", "shuffled"])
def test_upsampling_starts_bilinear(method: Upsampling) -> None:
    """Away from the border a linear ramp goes through unchanged, at twice the resolution and half a pixel's phase."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    fine = Upsample(1, 2, method)((3 * y + x)[None, None])[0, 0]
    row, column = torch.meshgrid((torch.arange(12) + 0.5) / 2 - 0.5, (torch.arange(16) + 0.5) / 2 - 0.5, indexing="ij")
    torch.testing.assert_close(fine[1:-1, 1:-1], (3 * row + column)[1:-1, 1:-1])


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_both_ways_to_upsample_are_equal(factor: int, layout: torch.memory_format) -> None:
    """Values and gradients of learned weights, from one state dict."""
    torch.manual_seed(0)
    one, other = Upsample(5, factor, "transposed"), Upsample(5, factor, "shuffled")
    torch.nn.init.normal_(one.weight)
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 5, 3, 7).to(memory_format=layout)
    results = []
    for module in (one, other):
        given = x.clone().requires_grad_()
        y = module(given)
        gradient = torch.arange(y.numel()).view(y.shape).cos()
        results.append([y, *torch.autograd.grad(y, [given, module.weight], gradient)])
    assert results[0][0].shape == (2, 5, 3 * factor, 7 * factor)
    for here, there in zip(*results, strict=True):
        assert (here - there).norm() <= 1e-6 * there.norm()


def test_both_necks_have_one_layout() -> None:
    layouts = [{k: t.shape for k, t in DLAUp((8, 16, 24), method).state_dict().items()} for method in METHODS]
    assert layouts[0] == layouts[1]


def test_every_tensor_trains() -> None:
    neck = DLAUp((8, 16, 24, 32))
    neck(maps((8, 16, 24, 32)))[0].sum().backward()
    assert all(p.grad is not None for p in neck.parameters())
