"""Cars show which end is the front."""

import pytest

from monokd.scenes import meshes


@pytest.mark.parametrize("style", range(meshes.CAR_STYLES))
def test_a_car_has_white_lamps_in_front_red_ones_behind_and_is_lower_in_front(style: int) -> None:
    template = meshes.car(style)
    assert template.corners[template.parts == meshes.FRONT_LIGHT][..., 0].min() > 0.4
    assert template.corners[template.parts == meshes.REAR_LIGHT][..., 0].max() < -0.4
    # so that a depth map, which sees no lamps, still shows where a car is heading: the fifth at either end
    corners = template.corners[template.parts == meshes.PAINT].reshape(-1, 3)
    front, rear = corners[corners[:, 0] > 0.4, 1].max(), corners[corners[:, 0] < -0.46, 1].max()
    assert front < rear - 0.1
