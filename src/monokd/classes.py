"""KITTI's classes and levels of difficulty; tables have an order of their own (`evaluation.rules`)."""

from dataclasses import dataclass
from typing import Literal, get_args

ClassName = Literal["Pedestrian", "Car", "Cyclist"]
CLASSES: tuple[ClassName, ...] = get_args(ClassName)  # the order of a detector's channels
KITTI_NAMES = ("Pedestrian", "Car", "Cyclist", "Van", "Truck", "Person_sitting", "Tram", "Misc", "DontCare")
# The class whose labels a detection of another may hit without being wrong.
NEIGHBOURS = {"Car": "Van", "Pedestrian": "Person_sitting"}


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Limits that a label must keep to count at a level."""

    name: str  # easy, moderate or hard
    min_height_px: float  # of its 2D box
    max_occlusion: float  # 0 visible, 1 partly, 2 largely
    max_truncation: float  # share outside the image


EASY = Difficulty("easy", 40, 0, 0.15)
MODERATE = Difficulty("moderate", 25, 1, 0.30)
HARD = Difficulty("hard", 25, 2, 0.50)
DIFFICULTIES = EASY, MODERATE, HARD
