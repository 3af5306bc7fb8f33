"""The table of every average precision, what is made from it, and AP by distance."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from monokd.evaluation.bootstrap import Resampling
from monokd.evaluation.evaluate import evaluate_results, read_result_set
from monokd.evaluation.table import (
    AP_COLUMNS,
    CURVE_COLUMNS,
    DISTANCE_COLUMNS,
    ap_table,
    curve_rows,
    distance_rows,
    table_json,
    write_table,
)
from tests.evaluation.cases import Line, all_aps, ap, line, score, write_frames

NEAR, FAR = (0.0, 15.0), (15.0, 25.0)
COUNT = 41  # the fewest with which a perfect detector reaches 100


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_a_row_for_every_figure_empty_where_undefined(folders: tuple[Path, Path], tmp_path: Path) -> None:
    rows = ap_table(evaluate_results(read_result_set(*folders)), resampling=Resampling(20))
    write_table(tmp_path / "ap.csv", AP_COLUMNS, rows)
    written = read_csv(tmp_path / "ap.csv")
    assert len(rows) == len(written) == 2 * 3 * 4 * 2 * 3
    for cells, row in zip(written, rows, strict=True):
        assert tuple(cells) == AP_COLUMNS
        assert list(cells.values()) == ["" if value is None else str(value) for value in row]
        assert (cells["low"] == "") == (cells["ap"] == "") == (row.name == "Pedestrian")
        assert cells["difference"] == cells["difference_low"] == cells["difference_high"] == ""


def test_the_json_has_the_fixed_form(folders: tuple[Path, Path]) -> None:
    evaluation = evaluate_results(read_result_set(*folders))
    rows = ap_table(evaluation)
    content: Any = table_json(evaluation, rows)
    assert list(content.items())[:2] == [("frames", 45), ("rule", "le")]
    assert list(content)[2:] == ["strict", "loose"]
    assert list(content["strict"]) == ["Car", "Pedestrian", "Cyclist"]
    assert list(content["strict"]["Car"]) == [f"{m}_{p}" for m in ("3d", "bev", "bbox", "aos") for p in ("R40", "R11")]
    assert content["strict"]["Pedestrian"]["aos_R11"] == {"easy": None, "moderate": None, "hard": None}
    for row in rows:
        assert content[row.iou][row.name][f"{row.metric}_{row.points}"][row.difficulty] == row.ap
    json.dumps(content, allow_nan=False)


def test_curves_average_to_the_figures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """R40 is the mean of samples 1 to 40 of the curve that is written."""
    evaluation = evaluate_results(read_result_set(*folders))
    write_table(tmp_path / "pr.csv", CURVE_COLUMNS, curve_rows(evaluation))
    curves: dict[tuple[str, ...], list[float]] = {}
    for row in read_csv(tmp_path / "pr.csv"):
        key: tuple[str, ...] = row["iou"], row["class"], row["metric"], "R40", row["difficulty"]
        curves.setdefault(key, []).append(float(row["precision"]))
        assert float(row["recall"]) == int(row["sample"]) / 40
    defined = {key: value for key, value in all_aps(evaluation).items() if key[3] == "R40" and value is not None}
    assert set(curves) == set(defined)
    for key, precision in curves.items():
        assert len(precision) == 41
        assert 100 * sum(precision[1:]) / 40 == pytest.approx(defined[key])


# --- by distance ----------------------------------------------------------------------------------------------------


def at(z: float, **numbers: Any) -> Line:
    return line(location=(0, 1.7, z), **numbers)


def other(score: float = math.nan) -> Line:
    return at(20.0, box=(300, 100, 400, 200), score=score)


def test_what_happens_in_another_band_changes_nothing() -> None:
    """Near: all found. Far: all missed, and as many surer false boxes. Only all distances together see both."""
    labels = [[at(10.0), other()]] * COUNT
    false = line(location=(30, 1.7, 5.0), box=(500, 100, 600, 200), score=0.9)
    results = [[at(10.0, score=0.5), false]] * COUNT
    assert ap(score(labels, results, band_m=NEAR), iou="loose") == 100
    assert ap(score(labels, results, band_m=(15.0, 40.0)), iou="loose") == 0
    assert 0 < (ap(score(labels, results), iou="loose") or 0) < 50


def test_a_box_across_the_border_still_finds_its_object() -> None:
    """Found at 15.1 m, labelled at 14.9 m: the object is the near band's, and in the far band nothing is wrong."""
    labels, results = [[at(14.9), other()]] * COUNT, [[at(15.1, score=0.5), other(0.4)]] * COUNT
    assert [ap(score(labels, results, band_m=band), iou="loose") for band in (NEAR, FAR)] == [100, 100]


@pytest.mark.parametrize("location", [(0, 1.7, 15), (9, 1.7, 12)])
def test_a_band_holds_its_lower_end_and_not_its_upper_one(location: tuple[float, float, float]) -> None:
    """Distance is measured on the ground: 12 m ahead and 9 m aside are 15 m."""
    labels, results = [[line(location=location)]], [[line(location=location, score=0.5)]]
    near, far = (score(labels, results, band_m=band).curves["loose", "Car", "3d", "moderate"] for band in (NEAR, FAR))
    assert (near.objects, far.objects) == (0, 1)


def test_the_table_by_distance(tmp_path: Path) -> None:
    """Objects, AP and interval; nothing where there is no object, though the kit says 0 there."""
    labels = write_frames(tmp_path / "labels", [[at(10.0)]] * COUNT)
    results = write_frames(tmp_path / "results", [[at(10.0, score=0.5)]] * COUNT)
    result_set = read_result_set(labels, results)
    table = distance_rows(result_set, "le", ("Car", "Cyclist"), Resampling(5))
    write_table(tmp_path / "distance.csv", DISTANCE_COLUMNS, table)
    rows = read_csv(tmp_path / "distance.csv")
    assert len(rows) == 4 * 2 * 2 * 2 * 3  # bands, sets, classes, metrics, difficulties
    found = {
        (row["from_m"], row["class"]): [row[key] for key in ("to_m", "objects", "ap", "low", "high")]
        for row in rows
        if (row["iou"], row["metric"], row["difficulty"]) == ("loose", "3d", "easy")
    }
    assert found["0.0", "Car"] == ["15.0", "41", "100.0", "100.0", "100.0"]
    assert found["15.0", "Car"] == ["25.0", "0", "", "", ""]
    assert found["0.0", "Cyclist"] == ["15.0", "", "", "", ""]
    assert len(list(curve_rows(evaluate_results(result_set, metrics=("bev",))))) == 2 * 3 * 41  # sets, difficulties
