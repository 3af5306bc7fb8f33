"""The heads' starts, their precision, their empty batches."""

from __future__ import annotations

import pytest
import torch

from monokd.models.heads import cell_head, map_head, maps_at, pooled_head


def test_heatmap_starts_at_its_prior() -> None:
    """A bias of −2.19 is a probability of 0.1: few peaks, small focal loss at the first step."""
    logits = map_head(8, 16, 3, bias=-2.19)(torch.zeros(1, 8, 4, 4))
    assert float(logits.detach().sigmoid().mean()) == pytest.approx(0.1, abs=0.03)


def test_regressions_start_near_zero() -> None:
    torch.manual_seed(0)
    assert float(map_head(8, 16, 2)(torch.randn(1, 8, 4, 4)).detach().abs().max()) < 0.05


@pytest.mark.parametrize("make", [pooled_head, cell_head])
def test_region_heads_start_with_zero_bias(make: type) -> None:
    head = make(8, 16, 2)
    biases = [p for name, p in head.named_parameters() if name.endswith("bias")]
    assert all(torch.equal(b, torch.zeros_like(b)) for b in biases)


def test_an_empty_batch_of_regions_trains() -> None:
    """A step whose frames hold no object must neither fail nor move the running statistics."""
    head = pooled_head(8, 16, 2).train()
    before = {name: b.clone() for name, b in head.named_buffers()}
    result = head(torch.zeros(0, 8, 7, 7, requires_grad=True))
    assert result.shape == (0, 2, 1, 1)
    result.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())
    assert all(torch.equal(b, before[name]) for name, b in head.named_buffers())


@pytest.mark.parametrize("make", [map_head, pooled_head, cell_head])
def test_outputs_are_single_precision_under_autocast(make: type) -> None:
    """A bias of 14 feature pixels plus a thousandth survives bfloat16, whose step there is a sixteenth."""
    head = make(8, 16, 2)
    last = head[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(14.001)
    with torch.autocast("cpu", torch.bfloat16):
        result = head(torch.randn(2, 8, 7, 7))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, torch.full_like(result, 14.001))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_some_cells_are_those_of_the_whole_map(layout: torch.memory_format) -> None:
    """Corners, borders and the middle, values and gradients; the other cells are 0."""
    torch.manual_seed(0)
    heads = [map_head(8, 16, 2), map_head(8, 16, 3, bias=1.0)]
    features = torch.randn(2, 8, 5, 7).to(memory_format=layout)
    cells = torch.tensor([0, 6, 9, 34, 35, 52, 69])
    asked = torch.zeros(70, dtype=torch.bool).index_fill(0, cells, value=True).view(2, 1, 5, 7)
    results = []
    for maps_of in (lambda x: [head(x) for head in heads], lambda x: maps_at(heads, x, cells)):
        given = features.clone().requires_grad_()
        maps = [map_ * asked for map_ in maps_of(given)]
        wanted = [given, *(p for head in heads for p in head.parameters())]
        results.append([*maps, *torch.autograd.grad(torch.cat(maps, 1).square().sum(), wanted)])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there)
    assert not any(map_[(~asked).expand_as(map_)].any() for map_ in maps_at(heads, features, cells))


def test_no_cells_at_all_train() -> None:
    """A batch without objects: maps of zeros and gradients of zeros, as data-parallel training needs them."""
    head = map_head(8, 16, 2)
    (empty,) = maps_at([head], torch.randn(1, 8, 4, 4), torch.zeros(0, dtype=torch.int64))
    torch.autograd.backward(empty.sum())
    assert not empty.any()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())
