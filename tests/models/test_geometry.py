"""From the feature map to the image and to rays: hand-solved boxes, both sides of Q7."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from monokd.models.geometry import feature_boxes, points_to_image, ray_cells
from monokd.models.outputs import Rois
from monokd.samples.affine import crop_affine, transform_points
from tests.models.test_detector import P2


def test_boxes_are_centred_at_peak_plus_offset() -> None:
    offset, size = torch.zeros(1, 2, 4, 6), torch.zeros(1, 2, 4, 6)
    offset[0, :, 2, 3] = torch.tensor([0.25, -0.5])
    size[0, :, 2, 3] = torch.tensor([4.0, 2.0])
    rois = Rois(torch.tensor([0]), torch.tensor([15]), torch.tensor([1]))
    assert feature_boxes(offset, size, rois).tolist() == [[1.25, 0.5, 5.25, 2.5]]


@given(
    st.sampled_from([(1242, 375), (1224, 370), (1392, 512)]),
    st.sampled_from([(1280, 384), (320, 96)]),
    st.floats(0.6, 1.4),
)
def test_corrected_boxes_invert_the_input_transform(
    image: tuple[int, int], network: tuple[int, int], scale: float
) -> None:
    """Q7 corrected: a feature point comes back to the image point that the resizing took it from."""
    centre = image[0] * 0.47, image[1] * 0.52
    affine = crop_affine(centre, (image[0] * scale, image[1] * scale), width_px=network[0], height_px=network[1])
    points = np.array([[0.0, 0.0], [100.0, 300.0], [1200.0, 20.0]])
    cells = torch.from_numpy(transform_points(affine.forward, points) / 4)
    ranges = torch.from_numpy(affine.coord_range_px).double().expand(3, 2, 2)
    back = points_to_image(cells, ranges, (network[1] // 4, network[0] // 4), anisotropic_decode=False)
    np.testing.assert_allclose(back.numpy(), points, atol=2e-3)


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
