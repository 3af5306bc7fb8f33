"""Masks by hand, and quirk Q9 both ways."""

import pytest
import torch

from monokd.samples.masks import box_mask, centre_mask, gaussian_radius


def boxes(*rows: tuple[float, float, float, float], slots: int = 4) -> torch.Tensor:
    out = torch.zeros(1, slots, 4)
    out[0, : len(rows)] = torch.tensor(rows)
    return out


def test_cells_of_two_boxes() -> None:
    """Stride 8: x 9 to 25 is cells 1 and 2, y 0 to 17 is cells 0 and 1; the second box overlaps."""
    mask = box_mask(boxes((9, 0, 25, 17), (16, 8, 33, 16)), 8, 3, 5)
    assert mask[0].tolist() == [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize(("published", "row"), [(True, [0, 0, 0, 0]), (False, [1, 1, 0, 0])])
def test_q9_boxes_that_leave_the_image(published: bool, row: list[int]) -> None:
    """On the left, published, cells −2 to 2 mean 2 to 2 from the far side, an empty range; the right is cut off."""
    left, right = (box_mask(boxes(b), 8, 1, 4, unclipped_masks=published) for b in ((-16, 0, 16, 8), (16, 0, 160, 8)))
    assert left[0, 0].tolist() == row
    assert right[0, 0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("published", [True, False])
def test_q9_filtered_objects(published: bool) -> None:
    """One object and one filtered line: published, the latter's zero box marks cell (0, 0)."""
    given = boxes((40, 24, 72, 56))
    mask = centre_mask(given, 4, 16, 20, torch.tensor([2]), unclipped_masks=published)
    assert bool(mask[0, 0, 0]) == published
    side = 2 * int(gaussian_radius(torch.tensor(8.0), torch.tensor(8.0))) + 1
    assert mask.sum().item() == side**2 + published
    assert mask[0, 10, 14].item() == 1


@pytest.mark.parametrize(("size", "expected"), [((10, 10), 2.73), ((20, 40), 7.36), ((40, 20), 7.36), ((0, 0), 0)])
def test_the_radius_by_hand(size: tuple[int, int], expected: float) -> None:
    """10×10: roots (20 + 18.15)/2, (40 + 33.47)/2 and (−28 + 33.47)/2; 40×20: (−84 + √(84² + 2688))/2; the least."""
    height, width = (torch.tensor(float(side), dtype=torch.float64) for side in size)
    assert gaussian_radius(height, width).item() == pytest.approx(expected, abs=0.005)
