"""The affine maps what it says, and warping is Pillow's resampling to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from monokd.samples.affine import Affine, crop_affine, transform_points, warp_depth, warp_image

SCALES = st.floats(0.6, 1.4)
SHIFTS = st.floats(-0.2, 0.2)


def _affine(width: int, height: int, scale: float, right: float, down: float, size: tuple[int, int]) -> Affine:
    centre = width * (0.5 + right), height * (0.5 + down)
    return crop_affine(centre, (width * scale, height * scale), width_px=size[0], height_px=size[1])


def test_crop_by_hand() -> None:
    """A crop 640 wide about (500, 200) seen at width 1280: everything doubles about the centre, both axes alike."""
    affine = crop_affine((500.0, 200.0), (640.0, 300.0), width_px=1280, height_px=384)
    found = transform_points(affine.forward, np.array([[500.0, 200.0], [180.0, 200.0], [510.0, 210.0]]))
    np.testing.assert_allclose(found, [[640, 192], [0, 192], [660, 212]], atol=1e-9)
    np.testing.assert_array_equal(affine.coord_range_px, [[180, 50], [820, 350]])


@given(SCALES, SHIFTS, SHIFTS, st.booleans(), st.integers(0, 3), st.sampled_from([(312, 94), (306, 93), (320, 96)]))
@settings(deadline=None, max_examples=60)
def test_warp_is_pillows(scale: float, right: float, down: float, flip: bool, seed: int, size: tuple[int, int]) -> None:
    """Bilinear sampling at pixel centres, truncated to 8 bits, 0 outside: an independent implementation agrees."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    depth = rng.integers(0, 65536, (size[1], size[0]), dtype=np.uint16)
    affine = _affine(*size, scale, right, down, (320, 96))
    data = tuple(affine.inverse.ravel().tolist())
    rgb, metres = Image.fromarray(image), Image.fromarray(depth.astype(np.float32) / 256)
    if flip:
        rgb, metres = (one.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for one in (rgb, metres))
    kinds = Image.Transform.AFFINE, data, Image.Resampling.BILINEAR
    expected = np.asarray(rgb.transform((320, 96), *kinds)).transpose(2, 0, 1)
    np.testing.assert_array_equal(warp_image(image, affine, flip=flip), expected)
    expected_m = np.asarray(metres.transform((320, 96), *kinds))
    np.testing.assert_allclose(warp_depth(depth, affine, flip=flip), expected_m, atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_wide_steps_average(flip: bool) -> None:
    """At a step of 4 image pixels every input pixel is the mean of its 4×4 image pixels, mirrored or not."""
    blocks = np.random.default_rng(0).integers(0, 20, (32, 64, 3))
    corner = np.tile(np.pad([[160]], (0, 3)), (32, 64))  # one bright pixel a block, which its middle does not see
    image = (np.kron(blocks, np.ones((4, 4, 1))) * 4 + corner[..., None]).astype(np.uint8)
    expected = image.reshape(32, 4, 64, 4, 3).mean(axis=(1, 3))
    affine = _affine(256, 128, 1.0, 0.0, 0.0, (64, 32))
    found = warp_image(image, affine, flip=flip).transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected[:, ::-1] if flip else expected, atol=1)
    depth = (image[..., 0].astype(np.uint16)) * 256
    metres = warp_depth(depth, affine, flip=flip)
    np.testing.assert_allclose(metres, expected[:, ::-1, 0] if flip else expected[..., 0], atol=0.01)
