"""Templates fill the box that their label will claim, and show which end is the front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monokd.scenes import meshes, palette

BUILDERS: list[Callable[[], meshes.Template]] = [
    *(lambda style=style: meshes.car(style) for style in range(meshes.CAR_STYLES)),
    *(lambda pose=pose: meshes.person(pose) for pose in range(meshes.PERSON_POSES)),
    *(lambda pose=pose: meshes.cyclist(pose) for pose in range(meshes.CYCLIST_POSES)),
    *(lambda kind=kind: meshes.tree(kind) for kind in range(3)),
    *(lambda kind=kind: meshes.pole(kind) for kind in range(2)),
    meshes.block,
    meshes.house,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_template_fills_the_unit_box(build: Callable[[], meshes.Template]) -> None:
    template = build()
    assert template.corners.shape == (len(template.parts), 3, 3)
    np.testing.assert_allclose(template.corners.min(axis=(0, 1)), (-0.5, 0.0, -0.5), atol=1e-12)
    np.testing.assert_allclose(template.corners.max(axis=(0, 1)), (0.5, 1.0, 0.5), atol=1e-12)
    assert template.parts.min() >= 0
    assert template.parts.max() < len(meshes.PARTS)


@pytest.mark.parametrize("style", range(meshes.CAR_STYLES))
def test_a_car_has_white_lamps_in_front_and_red_ones_behind(style: int) -> None:
    template = meshes.car(style)
    assert template.corners[template.parts == meshes.FRONT_LIGHT][..., 0].min() > 0.4
    assert template.corners[template.parts == meshes.REAR_LIGHT][..., 0].max() < -0.4


def test_the_shader_knows_materials_by_their_numbers() -> None:
    """The compiled shader holds the numbers as literals; this fails when palette renumbers them."""
    names = ("MATTE", "GLOSS", "GLASS", "LAMP", "CLOTH", "FACADE", "BRICK", "BARK", "LEAVES", "ROOF")
    assert [getattr(palette, name) for name in names] == list(range(10))
    assert len(palette.LOST_RETURNS) == 10
