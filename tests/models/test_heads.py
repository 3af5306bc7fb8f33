"""The heads' precision, their values at some cells."""

import pytest
import torch

from monokd.models.heads import cell_head, map_head, maps_at, pooled_head


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
    """Corners, borders and the middle, values and gradients; the other cells are NaN, which reaches no gradient."""
    torch.manual_seed(0)
    heads = [map_head(8, 16, 2), map_head(8, 16, 3)]
    features = torch.randn(2, 8, 5, 7).to(memory_format=layout)
    cells = torch.tensor([0, 6, 9, 34, 35, 52, 69])
    asked = torch.zeros(70, dtype=torch.bool).index_fill(0, cells, value=True).view(2, 5, 7)
    results = []
    for maps_of in (lambda x: [head(x) for head in heads], lambda x: maps_at(heads, x, cells)):
        given = features.clone().requires_grad_()
        maps = torch.cat(maps_of(given), 1).permute(0, 2, 3, 1)
        wanted = [given, *(p for head in heads for p in head.parameters())]
        results.append([maps[asked], *torch.autograd.grad(maps[asked].square().sum(), wanted)])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there)
    for map_ in maps_at(heads, features, cells):
        assert map_.permute(0, 2, 3, 1)[~asked].isnan().all()
