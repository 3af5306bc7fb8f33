"""RoIAlign against its definition, its gradients, odd boxes."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monokd.models.roi import roi_align


def roi_align_with_box_gradients(
    features: Tensor, boxes: Tensor, boxes_per_frame: Sequence[int], **_: object
) -> Tensor:
    """RoIAlign 7×7 by its definition, whose gradient reaches the boxes too.

    torchvision's does not, and neither does this project's, but the one that golden numbers were made with does.
    """
    height, width = features.shape[-2:]
    frames = [frame for frame, count in enumerate(boxes_per_frame) for _ in range(count)]
    regions = [
        _cell_weights(top, bottom, height) @ features[frame] @ _cell_weights(left, right, width).T
        for (left, top, right, bottom), frame in zip(boxes, frames, strict=True)
    ]
    return torch.stack(regions)


def _cell_weights(start: Tensor, stop: Tensor, length: int) -> Tensor:
    """7×length weights of an axis: the mean of as many linear interpolations as a cell is pixels long."""
    cell = (stop - start).clamp(min=1.0) / 7
    count = int(cell.ceil())
    first = start + cell * torch.arange(7)[:, None]
    place = first + (torch.arange(count) + 0.5) * (cell / count)
    weight = (1 - (place.clamp(0, length - 1)[..., None] - torch.arange(length)).abs()).clamp(min=0)
    return weight.masked_fill(((place < -1) | (place > length))[..., None], 0.0).mean(1)


def random_case(seed: int, count: int, reach: float) -> tuple[Tensor, Tensor, list[int]]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 4, 11, 23, generator=generator)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([23.0, 11.0])
    half = torch.rand(count, 2, generator=generator) ** 3 * reach
    frame_index = torch.randint(0, 3, (count,), generator=generator)
    counts: list[int] = torch.bincount(frame_index, minlength=3).tolist()
    return features, torch.cat((centre - half, centre + half), 1), counts


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 20), reach=st.sampled_from([0.5, 8.0, 200.0]))
def test_equals_the_definition(seed: int, count: int, reach: float) -> None:
    """Boxes from a fraction of a pixel to far larger than the map, inside and across its edges."""
    case = random_case(seed, count, reach)
    torch.testing.assert_close(roi_align(*case), roi_align_with_box_gradients(*case), rtol=1e-4, atol=2e-5)


def test_gradient_reaches_the_features_alone() -> None:
    """Boxes count as constants, as in the published operator."""
    features, boxes, counts = random_case(3, 4, 4.0)
    features, boxes = features[:, :1, :6, :8].double().requires_grad_(), boxes.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: roi_align(f, boxes.detach(), counts, cells=3), (features,))
    torch.autograd.backward(roi_align(features, boxes, counts).sum())
    assert boxes.grad is None
    assert features.grad is not None


@pytest.mark.parametrize("box", [(0.0, 0.0, float("inf"), 4.0), (9.0, 9.0, 2.0, 2.0), (-1e9, 0.0, 1e9, 5.0)])
def test_odd_boxes_stay_finite(box: tuple[float, ...]) -> None:
    """An untrained network predicts such boxes."""
    result = roi_align(torch.randn(1, 2, 8, 8), torch.tensor([box]), [1])
    assert torch.isfinite(result).all()


def test_an_undefined_box_spoils_itself_only() -> None:
    """A diverged network must show as NaN where it is, not in its neighbours."""
    boxes = torch.tensor([[1.0, 1.0, 5.0, 6.0], [float("nan")] * 4])
    result = roi_align(torch.randn(2, 2, 8, 8), boxes, [2, 0])
    assert torch.isfinite(result[0]).all()
    assert torch.isnan(result[1]).all()
