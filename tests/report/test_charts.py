"""Charts hold what the tables say; SVG is well-formed, the same every time, and follows the page's colours."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from monokd.report.charts import Chart, Series, distance_charts, headline_charts, to_svg, training_charts
from monokd.report.charts import precision_recall_charts as pr_charts
from monokd.report.results import BAND_COLUMNS, KEY, Results
from tests.report.fakes import results_of, write_results_of

X = np.arange(5.0)
SERIES = Series("student", "<y>", X, X**2), Series("control", "z", X, X + 1, X, X + 2)
CHART = Chart("a title", 'says "x" & ', SERIES, {"xlabel": "$x_1$ <b>"}, markers=True)
ROWS = replace(CHART, rows=("3D", "BEV"), series=(Series("student", "", X[:2], X[:2], X[:2] - 1, X[:2] + 1),))


def history(**networks: dict[str, list[float]]) -> Results:
    rows = pd.concat({name: pd.DataFrame(columns) for name, columns in networks.items()}, names=["network"])
    return results_of(tuple(networks), history=rows.reset_index("network"))


def test_charts_one_a_term_total_first() -> None:
    """A term that only the student has gets a chart with its line alone; several rows an epoch are averaged."""
    results = history(
        control={"epoch": [1, 2], "lr": [1, 1], "depth": [5, 4], "total": [7, 6], "weight_depth": [0, 1]},
        student={"epoch": [1, 1, 2], "depth": [5, 3, 4], "spearman": [2, 0, 0.5], "total": [7, 7, 6]},
    )
    charts = list(training_charts(results))
    assert [chart.title for chart in charts] == ["total", "depth", "spearman"]
    assert [line.network for line in charts[0].series] == ["control", "student"]
    assert [line.network for line in charts[2].series] == ["student"]
    assert charts[1].series[1].y.tolist() == [4, 4]
    assert charts[2].series[0].text == "Student from 1 to 0.5"
    assert [chart.title for chart in training_charts(results, weights=True)] == ["depth"]
    still = history(student={"epoch": [1, 2], "depth": [5, 4], "weight_depth": [1, 1]})
    assert not list(training_charts(still, weights=True))


def test_the_line_ends_where_recall_does() -> None:
    rows = [("student", "loose", "Car", "3d", "moderate", *point) for point in ((0, 1), (0.5, 0.25), (1, 0))]
    rows += [("student", "loose", "Car", "3d", "easy", 0, 0.5)]
    curves = pd.DataFrame(rows, columns=["network", *KEY, "recall", "precision"])
    (chart,) = pr_charts(results_of(curves=curves), "Car")
    assert chart.title == "3D, loose, IoU 0.5"
    assert chart.series[0].y[:2].tolist() == [1, 0.25]
    assert np.isnan(chart.series[0].y[2])
    assert chart.series[0].text == "Student reaches recall 0.50"


def test_headline_charts_share_their_axis_and_hold_every_interval(tmp_path: Path) -> None:
    """Loose and strict compare by eye only on one scale."""
    results = write_results_of(tmp_path, {})
    charts = list(headline_charts(results, "Car"))
    assert [chart.title for chart in charts] == ["Loose, IoU 0.5", "Strict, IoU 0.7"]
    (limits,) = {chart.axes["xlim"] for chart in charts}
    assert all(line.high is not None and line.high.max() <= limits[1] for chart in charts for line in chart.series)
    assert not list(headline_charts(results_of(), "Car"))


def test_distance_charts_count_objects_and_share_their_axis() -> None:
    """An empty band is a gap, AP without intervals has no bars, 3D and BEV compare by eye; networks stand side by side.

    A network without detections has empty cells: the number of objects comes from the others.
    """
    nan = np.nan
    bands = [("3d", "moderate", 0, 15, 40, 60, 50, 70.5), ("3d", "moderate", 15, 25, 0, nan, nan, nan)]
    bands += [("bev", "moderate", 0, 15, 40, 80, nan, nan), ("bev", "moderate", 15, 25, 0, nan, nan, nan)]
    rows: list[Any] = [("student", "loose", "Car", *band) for band in bands]
    rows += [("teacher", *row[1:7], nan, nan, nan, nan) for row in rows]
    table = pd.DataFrame(rows, columns=["network", *KEY, *BAND_COLUMNS])
    charts = list(distance_charts(results_of(bands=table), "Car"))
    assert [chart.title for chart in charts] == ["3D, loose, IoU 0.5", "BEV, loose, IoU 0.5"]
    assert charts[0].axes["xticklabels"] == ["0–15\n(40)", "15–25\n(0)"]
    assert charts[0].series[0].text == "Student: 0–15 m 60.0"
    assert {chart.axes["ylim"][1] for chart in charts} == {90}
    assert charts[1].series[0].high is not None
    assert np.isnan(charts[1].series[0].high).all()
    assert [line.x[0] for line in charts[0].series] == [-0.045, 0.045]
    nothing = results_of(bands=table[table["network"] == "teacher"])
    assert not [*distance_charts(nothing, "Car"), *distance_charts(nothing, "Cyclist")]


@pytest.mark.parametrize("chart", [CHART, ROWS])
def test_same_chart_same_text_with_colours_of_the_page_and_without_date_or_version(chart: Chart) -> None:
    svg = to_svg(chart)
    assert svg == to_svg(chart)
    assert not re.search(r"20\d\d-|Matplotlib|<metadata|(stroke|fill): #", svg)
    assert "var(--student)" in svg
    assert "var(--soft)" in svg


def test_well_formed_with_its_words_for_those_who_cannot_see() -> None:
    """Dollar signs are no mathematics, angle brackets no elements."""
    root = ElementTree.fromstring(to_svg(CHART))
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'says "x" & <y>; z.'
    assert "$x_1$ <b>" in "".join(root.itertext())


def test_single_points_are_drawn() -> None:
    assert "<use " in to_svg(replace(CHART, markers=False, series=(Series("student", "", X[:1], X[:1]),)))
