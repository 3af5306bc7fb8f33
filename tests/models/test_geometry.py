"""From the feature map to the image and to rays: hand-solved boxes, both sides of Q7."""

import torch

from monokd.models.geometry import points_to_image, ray_cells
from tests.models.test_detector import P2


def test_published_boxes_scale_each_axis_by_the_crop() -> None:
    boxes = torch.tensor([[0.0, 0.0, 80.0, 24.0], [40.0, 12.0, 20.0, 6.0]])
    ranges = torch.tensor([[[10.0, 20.0], [810.0, 140.0]]]).expand(2, 2, 2)
    mapped = points_to_image(boxes, ranges, (24, 80), anisotropic_decode=True)
    assert mapped.tolist() == [[10.0, 20.0, 810.0, 140.0], [410.0, 80.0, 210.0, 50.0]]


def test_rays_run_from_corner_to_corner() -> None:
    """Hand-solved: x = (u − cu)/f − tx/f at z = 1, equal steps over the seven cells."""
    rays = ray_cells(torch.tensor([[610.0, 173.0, 1330.0, 245.0]]), P2)
    x = torch.arange(7) / 6 - 45 / 720
    y = torch.arange(7) / 60 - 0.2 / 720
    torch.testing.assert_close(rays[0, 0], x.expand(7, 7), rtol=0, atol=1e-6)
    torch.testing.assert_close(rays[0, 1], y[:, None].expand(7, 7), rtol=0, atol=1e-6)
