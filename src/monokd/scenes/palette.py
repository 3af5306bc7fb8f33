"""Materials and colours of the parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monokd.scenes import meshes
from monokd.scenes.exact import pick, uniform

Array = NDArray[np.float64]
Colour = tuple[float, float, float]

# The shader's and the scanner's materials.
MATTE, GLOSS, GLASS, LAMP, CLOTH, FACADE, BRICK, BARK, LEAVES, ROOF = range(10)
# Share of the scanner's light that comes back from a white surface of the material, and the share of returns lost.
LOST_RETURNS = (0.03, 0.10, 0.75, 0.05, 0.03, 0.04, 0.03, 0.04, 0.12, 0.05)

CAR_COLOURS: tuple[tuple[float, Colour], ...] = (
    (0.22, (38, 38, 42)),
    (0.20, (150, 153, 158)),
    (0.16, (92, 96, 102)),
    (0.14, (222, 222, 218)),
    (0.12, (38, 62, 120)),
    (0.09, (150, 28, 30)),
    (0.03, (40, 88, 58)),
    (0.02, (200, 160, 40)),
    (0.02, (150, 128, 96)),
)
SKINS: tuple[Colour, ...] = ((224, 182, 155), (198, 150, 118), (141, 98, 70), (92, 62, 46))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Material (P), colour (P×3, RGB 0 to 255) of the P parts of `meshes.PARTS`."""

    materials: NDArray[np.int64]
    colours: Array


def look(parts: dict[int, tuple[int, Colour]]) -> Look:
    """A look from the parts that a mesh has; parts that are not named are dark and matte."""
    materials = np.full(len(meshes.PARTS), MATTE, dtype=np.int64)
    colours = np.full((len(meshes.PARTS), 3), 30.0)
    for part, (material, colour) in parts.items():
        materials[part], colours[part] = material, colour
    return Look(materials, colours)


def _varied(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    gain = uniform(rng, 1 - spread, 1 + spread)
    red, green, blue = (min(max(c * gain + uniform(rng, -10, 10), 4.0), 250.0) for c in colour)
    return red, green, blue


def car_look(rng: np.random.Generator) -> Look:
    """A car's paint, glass, tyres and lamps."""
    paint = CAR_COLOURS[pick(rng, tuple(weight for weight, _ in CAR_COLOURS))][1]
    return look(
        {
            meshes.PAINT: (GLOSS, _varied(rng, paint, 0.15)),
            meshes.GLASS: (GLASS, (28, 34, 40)),
            meshes.TYRE: (MATTE, (24, 24, 25)),
            meshes.DARK: (MATTE, (20, 20, 22)),
            meshes.FRONT_LIGHT: (LAMP, (236, 238, 230)),
            meshes.REAR_LIGHT: (LAMP, (196, 22, 20)),
            meshes.PLATE: (LAMP, (225, 225, 205)),
            meshes.RIM: (GLOSS, _varied(rng, (150, 152, 156), 0.2)),
        }
    )


def person_look(rng: np.random.Generator) -> Look:
    """A person's clothes, skin and hair."""
    return look(_clothes(rng) | {meshes.DARK: (MATTE, (32, 28, 26))})


def cyclist_look(rng: np.random.Generator) -> Look:
    """A rider's clothes and the bicycle's frame."""
    frame = _varied(rng, ((30, 30, 34), (170, 30, 28), (40, 70, 140), (190, 190, 190))[pick(rng, (2, 1, 1, 1))], 0.2)
    bicycle = {meshes.PAINT: (GLOSS, frame), meshes.TYRE: (MATTE, (22, 22, 22)), meshes.DARK: (MATTE, (26, 26, 28))}
    return look(_clothes(rng) | bicycle)


def _clothes(rng: np.random.Generator) -> dict[int, tuple[int, Colour]]:
    upper = (uniform(rng, 25, 225), uniform(rng, 25, 215), uniform(rng, 25, 215))
    lower = _varied(rng, ((38, 44, 66), (30, 30, 32), (96, 86, 70))[pick(rng, (2, 2, 1))], 0.3)
    skin = _varied(rng, SKINS[pick(rng, (4, 3, 1, 1))], 0.08)
    hair = _varied(rng, ((40, 28, 20), (90, 66, 42), (150, 140, 130))[pick(rng, (3, 2, 1))], 0.2)
    return {
        meshes.UPPER: (CLOTH, upper),
        meshes.LOWER: (CLOTH, lower),
        meshes.SKIN: (MATTE, skin),
        meshes.HAIR: (MATTE, hair),
    }


def clutter_look(rng: np.random.Generator, kind: str) -> Look:
    """Look of a background solid: facade, house, wall, hedge, tree, pole, sign, bin."""
    if kind in {"facade", "house"}:
        base = ((196, 182, 158), (172, 164, 156), (206, 196, 178), (168, 118, 92), (150, 150, 156))[
            pick(rng, (3, 2, 2, 2, 1))
        ]
        roof = ((124, 66, 52), (84, 80, 82))[pick(rng, (1, 1))]
        return look({meshes.PAINT: (FACADE, _varied(rng, base, 0.15)), meshes.DARK: (ROOF, _varied(rng, roof, 0.15))})
    if kind == "wall":
        wall = _varied(rng, ((150, 96, 76), (160, 156, 148))[pick(rng, (1, 1))], 0.15)
        return look({meshes.PAINT: (BRICK, wall), meshes.DARK: (MATTE, (140, 138, 132))})
    if kind in {"tree", "hedge"}:
        green = _varied(rng, ((64, 88, 40), (82, 100, 48), (48, 74, 42), (110, 100, 48))[pick(rng, (3, 3, 2, 1))], 0.2)
        return look({meshes.PAINT: (LEAVES, green), meshes.DARK: (BARK, (84, 70, 56))})
    if kind == "sign":
        plate = ((200, 30, 30), (30, 70, 160), (235, 200, 40))[pick(rng, (1, 1, 1))]
        return look({meshes.PAINT: (LAMP, plate), meshes.DARK: (MATTE, (130, 132, 134))})
    grey = _varied(rng, (112, 114, 112), 0.3)
    return look({meshes.PAINT: (MATTE, grey), meshes.DARK: (MATTE, grey)})
