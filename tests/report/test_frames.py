"""Which boxes count as found, where to draw the line, and which frames are shown."""

from dataclasses import replace

import numpy as np

from monokd.kitti.objects import Objects
from monokd.report.frames import FALSE, HIT, IGNORED, Counts, best_threshold, choose, match
from tests.report.fakes import objects, scored


def tall(places: list[tuple[str, float, float, float]]) -> Objects:
    """Objects whose 2D boxes are all 40 pixels tall, beside each other."""
    boxes = [[100.0 * i, 0.0, 100.0 * i + 60, 40.0] for i in range(len(places))]
    return replace(objects(places), boxes_px=np.array(boxes).reshape(-1, 4))


def test_found_missed_and_false_by_hand() -> None:
    """Two cars, one box 1.99 m off, one 2.01 m: one found, one missed, one false."""
    truth = tall([("Car", 0.0, 10.0, 0.0), ("Car", 5.0, 20.0, 0.0)])
    boxes = scored(tall([("Car", 0.0, 11.99, 0.0), ("Car", 5.0, 17.99, 0.0)]), [0.9, 0.8])
    result = match(truth, boxes, "Car")
    assert result.found_by.tolist() == [0.9, -np.inf]
    assert result.outcome.tolist() == [HIT, FALSE]
    assert result.at(0.0).f1 == 2 / (2 + 1 + 1)
    assert result.at(0.85).f1 == 2 / (2 + 1)
    assert 0.8 < best_threshold([result]) <= 0.9


def test_surer_boxes_choose_first_and_objects_are_found_once() -> None:
    """The sure box takes the car although the other is nearer; the other is false."""
    truth = tall([("Car", 0.0, 10.0, 0.0)])
    boxes = scored(tall([("Car", 0.0, 10.1, 0.0), ("Car", 0.0, 11.0, 0.0)]), [0.5, 0.9])
    result = match(truth, boxes, "Car")
    assert result.found_by.tolist() == [0.9]
    assert result.outcome.tolist() == [HIT, FALSE]


def test_other_classes_and_hard_objects_neither_count_nor_accuse() -> None:
    """A van, and a car too hidden for moderate: boxes on them are ignored, a pedestrian's box is not looked at."""
    truth = tall([("Van", 0.0, 10.0, 0.0), ("Car", 5.0, 20.0, 0.0), ("Pedestrian", -5.0, 15.0, 0.0)])
    truth = replace(truth, occlusion=np.array([0.0, 2.0, 0.0]))
    places = [("Car", 0.0, 10.0), ("Car", 5.0, 20.0), ("Pedestrian", -9.0, 30.0), ("Car", -5.0, 15.0)]
    result = match(truth, scored(tall([(*place, 0.0) for place in places]), [0.9, 0.8, 0.7, 0.6]), "Car")
    assert len(result.found_by) == 0
    assert result.outcome.tolist() == [IGNORED, IGNORED, FALSE]


def test_dont_care_regions_and_small_boxes_accuse_nobody() -> None:
    far = objects([("Car", 0.0, 60.0, 0.0)])
    near = tall([("Car", 3.0, 12.0, 0.0)])
    region = replace(near, names=("DontCare",), locations_m=np.full((1, 3), -1000.0), sizes_m=np.full((1, 3), -1.0))
    assert match(region, scored(near, [0.9]), "Car").outcome.tolist() == [IGNORED]
    assert match(tall([]), scored(near, [0.9]), "Car").outcome.tolist() == [FALSE]
    assert match(tall([]), scored(far, [0.9]), "Car").outcome.tolist() == [IGNORED]


def frame(found: int, missed: int, false: int = 0) -> Counts:
    return Counts(found, found + missed, false)


def test_best_and_worst_by_hand() -> None:
    """Ties go to more objects; frames with a single object come last; frames without any are never shown."""
    numbers = {"a": (2, 0), "b": (3, 0), "c": (0, 2), "d": (1, 2, 2), "e": (1, 0), "f": (0, 0)}
    matches = {name: frame(*values) for name, values in numbers.items()}
    assert choose(matches, matches) == {"b": "best", "a": "best", "c": "worst", "d": "worst"}


def test_gain_counts_objects_that_only_the_student_finds() -> None:
    many = {name: frame(found, 6 - found) for name, found in zip("abcdef", range(1, 7), strict=True)}
    control = many | {"c": frame(2, 4), "d": frame(2, 4), "f": frame(0, 6)}
    assert choose(many, control) == dict.fromkeys("fe", "best") | dict.fromkeys("ab", "worst") | {"d": "gain"}
