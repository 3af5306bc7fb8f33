"""AP by distance: each band by the rules, as if its objects were all there is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from monokd.evaluation.distance import by_distance, write_distances
from monokd.evaluation.evaluate import Evaluation, evaluate_tables
from tests.evaluation.cases import Line, line, table, write_frames

NEAR, FAR = (0.0, 15.0), (15.0, 25.0)
COUNT = 41  # the fewest with which a perfect detector reaches 100


def at(z: float, **numbers: Any) -> Line:
    return line(location=(0, 1.7, z), **numbers)


def score(labels: list[list[Line]], results: list[list[Line]], band_m: tuple[float, float] | None) -> Evaluation:
    frames = [f"{k:06d}" for k in range(len(labels))]
    return evaluate_tables(table(labels), table(results), frames, "le", ("Car",), band_m)


def moderate(evaluation: Evaluation, strictness: str = "loose") -> float | None:
    return evaluation.ap((strictness, "Car", "3d_R40", "moderate"))


def test_what_happens_in_another_band_changes_nothing() -> None:
    """Near: all found. Far: all missed, and as many surer false boxes. Only all distances together see both."""
    labels = [[at(10.0), at(20.0, box=(300, 100, 400, 200))]] * COUNT
    false = line(location=(30, 1.7, 5.0), box=(500, 100, 600, 200), score=0.9)
    results = [[at(10.0, score=0.5), false]] * COUNT
    assert moderate(score(labels, results, NEAR)) == 100
    assert moderate(score(labels, results, (15.0, 40.0))) == 0
    together = moderate(score(labels, results, None))
    assert together is not None
    assert 0 < together < 50


def test_a_box_across_the_border_still_finds_its_object() -> None:
    """Found at 15.1 m, labelled at 14.9 m: the object is the near band's, and in the far band nothing is wrong."""
    labels = [[at(14.9), at(20.0, box=(300, 100, 400, 200))]] * COUNT
    results = [[at(15.1, score=0.5), at(20.0, box=(300, 100, 400, 200), score=0.4)]] * COUNT
    assert moderate(score(labels, results, NEAR)) == 100
    assert moderate(score(labels, results, FAR)) == 100


def test_a_band_holds_its_lower_end_and_not_its_upper_one() -> None:
    labels, results = [[at(15.0)]] * COUNT, [[at(15.0, score=0.5)]] * COUNT
    cells = {band: score(labels, results, band).cells["loose", "Car", "3d", "moderate"] for band in (NEAR, FAR)}
    assert [cells[NEAR].objects, cells[FAR].objects] == [0, COUNT]


def test_distance_is_measured_on_the_ground() -> None:
    """12 m ahead and 9 m aside are 15 m."""
    labels = [[line(location=(9, 1.7, 12))]] * COUNT
    results = [[line(location=(9, 1.7, 12), score=0.5)]] * COUNT
    assert score(labels, results, FAR).cells["loose", "Car", "3d", "moderate"].objects == COUNT


def test_the_table_by_band(tmp_path: Path) -> None:
    """Objects, AP and interval; nothing where there is no object, though the kit says 0 there."""
    labels = write_frames(tmp_path / "labels", [[at(10.0)]] * COUNT)
    results = write_frames(tmp_path / "results", [[at(10.0, score=0.5)]] * COUNT)
    frames = tuple(f"{k:06d}" for k in range(COUNT))
    bands = by_distance(labels, results, frames, "le", ("Car", "Cyclist"), resamples=5)
    write_distances(tmp_path / "distance.csv", bands)
    with (tmp_path / "distance.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4 * 2 * 2 * 2 * 3  # bands, sets, classes, metrics, difficulties
    found = {
        (r["from_m"], r["class"]): r
        for r in rows
        if (r["iou"], r["metric"], r["difficulty"]) == ("loose", "3d", "easy")
    }
    assert [found["0.0", "Car"][key] for key in ("to_m", "objects", "ap", "low", "high")] == [
        *("15.0", "41", "100.0", "100.0", "100.0")
    ]
    assert [found["15.0", "Car"][key] for key in ("objects", "ap", "low", "high")] == ["0", "", "", ""]
    assert [found["0.0", "Cyclist"][key] for key in ("objects", "ap")] == ["", ""]
