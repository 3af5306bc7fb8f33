"""Templates fill the box that their label will claim, and show which end is the front."""

from collections.abc import Callable

import numpy as np
import pytest

from monokd.scenes import meshes

BUILDERS: list[Callable[[], meshes.Template]] = [
    *(lambda style=style: meshes.car(style) for style in range(meshes.CAR_STYLES)),
    *(lambda pose=pose: meshes.person(pose) for pose in range(meshes.PERSON_POSES)),
    *(lambda pose=pose: meshes.cyclist(pose) for pose in range(meshes.CYCLIST_POSES)),
    *(lambda shape=shape: meshes.background(shape) for shape in meshes.BACKGROUND),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_template_fills_the_unit_box(build: Callable[[], meshes.Template]) -> None:
    template = build()
    assert template.corners.shape == (len(template.parts), 3, 3)
    np.testing.assert_allclose(template.corners.min(axis=(0, 1)), (-0.5, 0.0, -0.5), atol=1e-12)
    np.testing.assert_allclose(template.corners.max(axis=(0, 1)), (0.5, 1.0, 0.5), atol=1e-12)
    assert template.parts.min() >= 0
    assert template.parts.max() < meshes.PARTS


@pytest.mark.parametrize("style", range(meshes.CAR_STYLES))
def test_a_car_has_white_lamps_in_front_red_ones_behind_and_is_lower_in_front(style: int) -> None:
    template = meshes.car(style)
    assert template.corners[template.parts == meshes.FRONT_LIGHT][..., 0].min() > 0.4
    assert template.corners[template.parts == meshes.REAR_LIGHT][..., 0].max() < -0.4
    # so that a depth map, which sees no lamps, still shows where a car is heading: the fifth at either end
    corners = template.corners[template.parts == meshes.PAINT].reshape(-1, 3)
    front, rear = corners[corners[:, 0] > 0.4, 1].max(), corners[corners[:, 0] < -0.46, 1].max()
    assert front < rear - 0.1
