"""The neck's shapes and its bilinear start."""

from __future__ import annotations

import torch

from monokd.models.neck import DLAUp


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


def test_upsampling_starts_bilinear() -> None:
    """Away from the border a linear ramp goes through unchanged, at twice the resolution and half a pixel's phase."""
    up = DLAUp((1, 1)).get_submodule("ida_0").get_submodule("up_1")
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    fine = up((3 * y + x)[None, None])[0, 0]
    row, column = torch.meshgrid((torch.arange(12) + 0.5) / 2 - 0.5, (torch.arange(16) + 0.5) / 2 - 0.5, indexing="ij")
    torch.testing.assert_close(fine[1:-1, 1:-1], (3 * row + column)[1:-1, 1:-1])


def test_every_tensor_trains() -> None:
    neck = DLAUp((8, 16, 24, 32))
    neck(maps((8, 16, 24, 32)))[0].sum().backward()
    assert all(p.grad is not None for p in neck.parameters())
