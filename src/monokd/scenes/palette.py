"""Materials and colours of the parts."""

from typing import NamedTuple

import numpy as np

from monokd.scenes import meshes
from monokd.typing import Floats, Ints

Colour = tuple[float, float, float]
Choices = tuple[tuple[float, Colour], ...]  # weight and colour

MATTE, GLOSS, GLASS, LAMP, CLOTH, FACADE, BRICK, BARK, LEAVES, ROOF = range(10)
# Share of the scanner's returns that each material loses.
LOST_RETURNS = np.array([0.03, 0.10, 0.75, 0.05, 0.03, 0.04, 0.03, 0.04, 0.12, 0.05])

CAR_PAINTS: Choices = (
    *((0.22, (38, 38, 42)), (0.20, (150, 153, 158)), (0.16, (92, 96, 102))),
    *((0.14, (222, 222, 218)), (0.12, (38, 62, 120)), (0.09, (150, 28, 30))),
    *((0.03, (40, 88, 58)), (0.02, (200, 160, 40)), (0.02, (150, 128, 96))),
)
SKINS: Choices = ((4, (224, 182, 155)), (3, (198, 150, 118)), (1, (141, 98, 70)), (1, (92, 62, 46)))
HAIRS: Choices = ((3, (40, 28, 20)), (2, (90, 66, 42)), (1, (150, 140, 130)))
TROUSERS: Choices = ((2, (38, 44, 66)), (2, (30, 30, 32)), (1, (96, 86, 70)))
FRAMES: Choices = ((2, (30, 30, 34)), (1, (170, 30, 28)), (1, (40, 70, 140)), (1, (190, 190, 190)))
PLASTERS: Choices = (
    *((3, (196, 182, 158)), (2, (172, 164, 156)), (2, (206, 196, 178))),
    *((2, (168, 118, 92)), (1, (150, 150, 156))),
)
ROOFS: Choices = ((1, (124, 66, 52)), (1, (84, 80, 82)))
WALLS: Choices = ((1, (150, 96, 76)), (1, (160, 156, 148)))
GREENS: Choices = ((3, (64, 88, 40)), (3, (82, 100, 48)), (2, (48, 74, 42)), (1, (110, 100, 48)))
BARKS: Choices = ((1, (84, 70, 56)),)
SIGNS: Choices = ((1, (200, 30, 30)), (1, (30, 70, 160)), (1, (235, 200, 40)))
GREYS: Choices = ((1, (112, 114, 112)),)
# Material and colours of the `PAINT` and the `DARK` parts of background solids.
CLUTTER = {
    "building": (FACADE, PLASTERS, ROOF, ROOFS),
    "wall": (BRICK, WALLS, MATTE, GREYS),
    "plant": (LEAVES, GREENS, BARK, BARKS),
    "sign": (LAMP, SIGNS, MATTE, GREYS),
    "grey": (MATTE, GREYS, MATTE, GREYS),
}


class Look(NamedTuple):
    """Material (P) and colour (P×3, RGB 0 to 255) of the P `meshes.PARTS`."""

    materials: Ints
    colours: Floats


def look(parts: dict[int, tuple[int, Colour]]) -> Look:
    """A look from the parts that a mesh has; parts that are not named are dark and matte."""
    materials = np.full(meshes.PARTS, MATTE, dtype=np.int64)
    colours = np.full((meshes.PARTS, 3), 30.0)
    for part, (material, colour) in parts.items():
        materials[part], colours[part] = material, colour
    return Look(materials, colours)


def pick(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    """An index with probability in proportion to its weight."""
    level = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        level -= weight
        if level < 0:
            return index
    return len(weights) - 1


def _colour(rng: np.random.Generator, choices: Choices, spread: float) -> Colour:
    """One of `choices`, its brightness varied by the share `spread`."""
    base = choices[pick(rng, tuple(weight for weight, _ in choices))][1]
    gain = rng.uniform(1 - spread, 1 + spread)
    red, green, blue = (min(max(c * gain + rng.uniform(-10, 10), 4.0), 250.0) for c in base)
    return red, green, blue


def object_look(rng: np.random.Generator, name: str) -> Look:
    """Look of a Car, Pedestrian or Cyclist."""
    if name == "Car":
        paint, rim = _colour(rng, CAR_PAINTS, 0.15), _colour(rng, CAR_PAINTS[1:2], 0.2)
        return look({
            meshes.PAINT: (GLOSS, paint), meshes.RIM: (GLOSS, rim), meshes.GLASS: (GLASS, (28, 34, 40)),
            meshes.TYRE: (MATTE, (24, 24, 25)), meshes.DARK: (MATTE, (20, 20, 22)),
            meshes.FRONT_LIGHT: (LAMP, (236, 238, 230)), meshes.REAR_LIGHT: (LAMP, (196, 22, 20)),
            meshes.PLATE: (LAMP, (225, 225, 205)),
        })  # fmt: skip
    return look({
        meshes.UPPER: (CLOTH, (rng.uniform(25, 225), rng.uniform(25, 215), rng.uniform(25, 215))),
        meshes.LOWER: (CLOTH, _colour(rng, TROUSERS, 0.3)), meshes.SKIN: (MATTE, _colour(rng, SKINS, 0.08)),
        meshes.HAIR: (MATTE, _colour(rng, HAIRS, 0.2)), meshes.PAINT: (GLOSS, _colour(rng, FRAMES, 0.2)),
        meshes.TYRE: (MATTE, (22, 22, 22)),
    })  # fmt: skip


def clutter_look(rng: np.random.Generator, kind: str) -> Look:
    """Look of a background solid, a key of `CLUTTER`."""
    paint, paints, dark, darks = CLUTTER[kind]
    return look({meshes.PAINT: (paint, _colour(rng, paints, 0.18)), meshes.DARK: (dark, _colour(rng, darks, 0.15))})
