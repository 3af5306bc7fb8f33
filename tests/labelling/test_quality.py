"""Boxes against labels by hand: who is right, and from which score on boxes can stand for labels."""

import numpy as np
import pytest

from monokd.kitti.objects import Objects
from monokd.labelling.quality import Matches, Thresholds, choose_thresholds, match, quality
from monokd.labelling.stage import as_labels, nothing_known


def cars(*rows: tuple[float, float, float], names: tuple[str, ...] | None = None) -> Objects:
    """Cars at (x, z) with a score; those at the same place have the same box in the image."""
    x, z, scores = np.array(rows, dtype=float).reshape(-1, 3).T
    n, one = len(rows), np.ones(len(rows))
    boxes = np.stack([600 + 50 * x, 100 + 0 * x, 680 + 50 * x, 160 + 0 * x], 1)
    sizes, places = np.tile([1.5, 1.6, 4.0], (n, 1)), np.stack([x, 1.6 * one, z], 1)
    return Objects(names or ("Car",) * n, 0 * one, 0 * one, 0 * one, boxes, sizes, places, 0 * one, scores)


def test_the_surer_box_takes_the_label_and_the_other_is_wrong() -> None:
    found = match([cars((0, 20, 0.3), (0, 20.2, 0.9))], [cars((0, 20, np.nan))], ["Car"])
    assert found.correct.tolist() == [False, True]
    assert found.counted.all()
    assert found.depth_error_m[1] == pytest.approx(0.2)
    assert found.labels == 1


def test_a_box_on_a_label_that_does_not_count_is_neither_right_nor_wrong() -> None:
    label = cars((0, 20, np.nan))
    label.boxes_px[:, 3] = label.boxes_px[:, 1] + 20  # lower than KITTI's hard level asks for
    found = match([cars((0, 20, 0.9))], [label], ["Car"])
    assert not found.counted.any()
    assert found.labels == 0


def test_a_box_on_a_van_or_in_an_unknown_region_is_neither_right_nor_wrong() -> None:
    found, place = [cars((0, 20, 0.9))], (0, 20, np.nan)
    for names in (("Van",), ("DontCare",)):
        assert not match(found, [cars(place, names=names)], ["Car"]).counted.any()
    beside = match(found, [cars((3, 20, np.nan), names=("DontCare",))], ["Car"])
    assert beside.counted.all()
    assert not beside.correct.any()


def test_a_box_at_a_wrong_distance_is_right_in_the_image_alone() -> None:
    found, label = [cars((0, 26, 0.9))], [cars((0, 20, np.nan))]
    assert not match(found, label, ["Car"]).correct.any()
    assert match(found, label, ["Car"], in_image=True).correct.all()


def test_other_classes_do_not_matter() -> None:
    found = match([cars((0, 20, 0.9), names=("Pedestrian",))], [cars((0, 20, np.nan))], ["Car"])
    assert not found.counted.any()
    assert not found.correct.any()


def test_a_heading_of_half_a_turn_is_noticed() -> None:
    turned = cars((0, 20, 0.9))
    turned.rotation_y_rad[:] = np.pi
    figures = quality(match([turned], [cars((0, 20, np.nan))], ["Car"]))
    assert figures == {"precision": 100, "recall": 100, "median_depth_error_m": 0, "flipped_headings": 100}


def matches(scores: list[float], correct: list[bool], labels: int) -> Matches:
    n = len(scores)
    return Matches(np.array(scores), np.array(correct, bool), np.ones(n, bool), np.zeros(n), np.zeros(n, bool), labels)


def test_thresholds_by_hand() -> None:
    """F2 of the first 1 to 4 boxes, two labels: 5/9, 10/10, 10/11, 10/12; the image shows all of them from 0.3 on."""
    in_space = matches([0.9, 0.7, 0.5, 0.3], [True, True, False, False], 2)
    in_image = matches([0.9, 0.7, 0.5, 0.3, 0.1], [True, True, True, True, False], 4)
    assert choose_thresholds(in_space, in_image) == Thresholds(0.7, 0.3)


def test_without_any_right_box_nothing_is_kept() -> None:
    nothing = matches([0.9], [False], 2)
    assert choose_thresholds(nothing, nothing) == Thresholds(np.inf, np.inf)


def test_sure_boxes_are_labels_uncertain_ones_unknown_regions_and_the_rest_goes() -> None:
    labels = as_labels(cars((0, 20, 0.9), (5, 20, 0.3), (9, 20, 0.1)), Thresholds(0.5, 0.2))
    assert labels.names == ("Car", "DontCare")
    assert labels.scores.tolist() == [1, 1]
    assert labels.locations_m[1].tolist() == [-1000] * 3
    weighted = as_labels(cars((0, 20, 0.9)), Thresholds(0.5, 0.2), score_weights=True)
    assert weighted.scores.tolist() == [0.9]
    assert nothing_known().names == ("DontCare",)
