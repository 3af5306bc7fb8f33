"""What KITTI's object benchmark counts: classes, difficulties, overlaps."""

import numpy as np
from numpy.typing import NDArray

from monokd.classes import DIFFICULTIES, KITTI_NAMES, NEIGHBOURS, ClassName, Difficulty
from monokd.evaluation.boxes import ALPHA, BOTTOM, HEIGHT, LEFT, LENGTH, OCCLUSION, TOP, TRUNCATION, WIDTH, X, Y, Z
from monokd.kitti.labels import LabelTable
from monokd.typing import Bools

Band = tuple[float, float]  # metres
States = NDArray[np.int8]

RULES = ("le", "lt")  # of the current development kit and of the older one
CLASSES: tuple[ClassName, ...] = "Car", "Pedestrian", "Cyclist"  # in the order of KITTI's tables, which ours keep
METRICS = ("3d", "bev", "bbox", "aos")
OVERLAPS = ("bbox", "bev", "3d")  # in the order of `boxes.overlaps`; aos uses bbox
POINTS = ("R40", "R11")
VALID, IGNORED, INVISIBLE = 0, 1, -1
DIFFICULTY_NAMES = tuple(difficulty.name for difficulty in DIFFICULTIES)
IOU_SETS = ("strict", "loose")
STRICT_IOU = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
LOOSE_IOU = {"Car": 0.5, "Pedestrian": 0.25, "Cyclist": 0.25}  # bev and 3d; bbox stays strict
LOWEST_IOU = min(LOOSE_IOU.values())


def label_states(labels: LabelTable, name: str, difficulty: Difficulty, rule: str) -> States:
    """Say whether each label is valid, ignored or invisible for class `name`; N."""
    rows, classes = labels.rows, labels.classes
    height_px = rows[:, BOTTOM] - rows[:, TOP]
    low = height_px <= difficulty.min_height_px if rule == "le" else height_px < difficulty.min_height_px
    beyond = low | (rows[:, OCCLUSION] > difficulty.max_occlusion) | (rows[:, TRUNCATION] > difficulty.max_truncation)
    states = np.full(len(rows), INVISIBLE, dtype=np.int8)
    own = classes == KITTI_NAMES.index(name)
    states[own] = np.where(beyond[own], IGNORED, VALID)
    if name in NEIGHBOURS:
        states[classes == KITTI_NAMES.index(NEIGHBOURS[name])] = IGNORED
    return states


def result_states(results: LabelTable, name: str, difficulty: Difficulty) -> States:
    """Say whether each detection is valid, ignored or invisible for class `name`; N.

    A low detection is ignored whatever its class, so that a low pedestrian can take a car: the kit tests height first.
    """
    height_px = np.abs(results.rows[:, BOTTOM] - results.rows[:, TOP])
    own = results.classes == KITTI_NAMES.index(name)
    states = np.where(own, VALID, INVISIBLE).astype(np.int8)
    states[height_px < difficulty.min_height_px] = IGNORED
    return states


def out_of_band(table: LabelTable, band_m: Band) -> Bools:
    """Say whether each row stands outside a band of distance (below its lower end, or not below its upper one); N.

    The distance is that on the ground from the camera to the box's centre.
    """
    distance_m = np.hypot(table.rows[:, X], table.rows[:, Z])
    return np.asarray((distance_m < band_m[0]) | (distance_m >= band_m[1]))


def defined_metrics(results: LabelTable, name: str) -> tuple[str, ...]:
    """List which of `METRICS` have a result for class `name`.

    A metric needs one detection of the class that has such a box (−1000 marks no location); aos needs the angle of
    every detection of every class (−10 marks none).
    """
    rows = results.rows[results.classes == KITTI_NAMES.index(name)]
    placed = (rows[:, [X, Z]] != -1000).all(axis=1) & (rows[:, [WIDTH, LENGTH]] > 0).all(axis=1)
    in_image = bool((rows[:, LEFT] >= 0).any())
    defined = {
        "3d": bool((placed & (rows[:, Y] != -1000) & (rows[:, HEIGHT] > 0)).any()),
        "bev": bool(placed.any()),
        "bbox": in_image,
        "aos": in_image and not bool((results.rows[:, ALPHA] == -10).any()),
    }
    return tuple(metric for metric in METRICS if defined[metric])
