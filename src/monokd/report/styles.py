"""How each network looks, the same in every picture, chart and table."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Style:
    """Look of one source of boxes; hue, lightness and dashes all differ, so that no reader depends on hue.

    Attributes:
        label: name for people.
        rgb: bright colour for boxes over photographs and on the dark bird's-eye view.
        on_light: CSS colour of lines on a light page (contrast at least 3:1, text 4.5:1).
        on_dark: the same on a dark page.
        dashes: lengths of stroke and gap in pixels; empty for a solid line.
        marker: matplotlib marker.
    """

    label: str
    rgb: RGB
    on_light: str
    on_dark: str
    dashes: tuple[int, ...] = ()
    marker: str = "o"


# Hues after Paul Tol's medium-contrast scheme, which survives red-green blindness and greyscale printing.
TRUTH = Style("Ground truth", (255, 255, 255), "#1b1f24", "#f0f3f6")
TEACHER = Style("Teacher", (255, 140, 165), "#994455", "#ee99aa", (11, 4, 3, 4), "^")
BASELINE = Style("Baseline", (255, 205, 70), "#806300", "#eecc66", (8, 6), "s")
STUDENT = Style("Student", (90, 185, 255), "#004f9e", "#7fb9f0")
OTHER = Style("Labelled, of a class that no network predicts", (165, 172, 182), "#5c646e", "#a5acb6", (3, 4))
STYLES = {"teacher": TEACHER, "baseline": BASELINE, "student": STUDENT}
SPARE = (
    Style("", (120, 230, 170), "#1f6f4a", "#86d9ae", (3, 4), "D"),
    Style("", (225, 160, 255), "#6a3d9a", "#cda8f0", (14, 4), "v"),
)


def style_of(name: str, position: int = 0) -> Style:
    """The look of network `name`; one of two spare looks, by `position`, where the name is not one of the three."""
    if name in STYLES:
        return STYLES[name]
    spare = SPARE[position % len(SPARE)]
    return Style(name, spare.rgb, spare.on_light, spare.on_dark, spare.dashes, spare.marker)
