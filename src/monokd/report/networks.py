"""The networks of the pipeline: their order, what they are, and how they look in every picture, chart and table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

RGB = tuple[int, int, int]
NETWORKS = ("teacher", "baseline", "control", "student")
STUDENT, CONTROL = "student", "control"  # what the page is about, and what it is compared with


@dataclass(frozen=True, slots=True)
class Style:
    """Look of one source of boxes; hue, lightness and dashes all differ, so that no reader depends on hue."""

    label: str
    rgb: RGB  # for boxes over photographs and on the dark view from above
    on_light: str  # CSS colour of lines on a light page (contrast at least 4.5:1)
    on_dark: str  # the same on a dark page
    dashes: tuple[int, ...] = ()  # lengths of stroke and gap in pixels; empty for a solid line
    marker: str = "o"  # of matplotlib


# Hues after Paul Tol's medium-contrast scheme, which survives red-green blindness and greyscale printing.
STYLES = {
    "teacher": Style("Teacher", (255, 140, 165), "#994455", "#ee99aa", (11, 4, 3, 4), "^"),
    "baseline": Style("Baseline", (255, 205, 70), "#806300", "#eecc66", (8, 6), "s"),
    "control": Style("Control", (140, 100, 250), "#781edc", "#aa64fa", (3, 4), "D"),
    "student": Style("Student", (90, 185, 255), "#004f9e", "#7fb9f0"),
    "other": Style("", (120, 230, 170), "#1f6f4a", "#86d9ae", (14, 4), "v"),
}
TRUTH = Style("Ground truth", (255, 255, 255), "#1b1f24", "#f0f3f6")
UNPREDICTED = Style("Labelled, of a class that no network predicts", (165, 172, 182), "#5c646e", "#a5acb6", (2, 6))

EXPLAINED = {
    "teacher": "sees the dense depth of the scene, made from a laser scanner, instead of the camera image. "
    "It cannot be used where there is only a camera; it shows what the same network reaches when distance is given.",
    "baseline": "sees the camera image only and is trained on the labels alone. Control and student start from it.",
    "control": "sees the camera image only. It trains on from the baseline for as long as the student, by the same "
    "schedule, on the labels alone: what it gains is not the teacher's doing.",
}
BOXES = {"teacher": "boxes by the teacher", "baseline": "boxes by the baseline", "files": "boxes from files"}
BOXES |= {"labels": "the hidden true labels"}  # on frames without labels, by profiles.P.unlabelled.boxes


def box_source(quality: Mapping[str, Any]) -> str:
    """Name the boxes of metrics/labels.json that the student learned from; empty where there were none."""
    return BOXES.get(str(quality.get("boxes")), "") if quality.get("frames") else ""


def explain(source: str, *, distilled: bool) -> dict[str, str]:
    """Say what each network is; the student's terms of the distillation may be off, and its source of boxes empty."""
    learns = " and ".join(filter(None, ["to imitate the teacher" * distilled, source and f"from {source}"]))
    text = f"It trains on like the control, and learns {learns} meanwhile. In use it needs no teacher."
    same = "No term of the distillation has a weight: it is trained like the control."
    return EXPLAINED | {"student": f"sees the camera image only. {text if learns else same}"}


def style_of(name: str) -> Style:
    """The look of network `name`; a spare one for a network that the pipeline does not have."""
    return STYLES[name] if name in NETWORKS else replace(STYLES["other"], label=name)
