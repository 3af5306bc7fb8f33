"""Charts hold what the tables say; SVG is well-formed, the same every time, and follows the page's colours."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from monokd.report.charts import Chart, Series, distance_charts, headline_charts, to_svg, training_charts
from monokd.report.charts import precision_recall_charts as pr_charts
from monokd.report.results import BAND_COLUMNS, KEY, Results
from tests.report.fakes import table, write_results_of

NONE = table({})
X = np.arange(5.0)
CHART = Chart(
    key="one",
    title="a title",
    description='says "x" & <y>',
    x_label="epoch",
    y_label="loss",
    series=(Series("student", X, X**2), Series("control", X, X + 1, X, X + 2)),
    markers=True,
)
ROWS = replace(CHART, key="two", rows=("3D", "BEV"), series=(Series("student", X[:2], X[:2], X[:2] - 1, X[:2] + 1),))


def history(**networks: dict[str, list[float]]) -> Results:
    rows = pd.concat({name: pd.DataFrame(columns) for name, columns in networks.items()}, names=["network"])
    return Results(tuple(networks), NONE, history=rows.reset_index("network"))


def test_charts_one_a_term_total_first() -> None:
    """A term that only the student has gets a chart with its line alone; several rows an epoch are averaged."""
    results = history(
        control={"epoch": [1, 2], "lr": [1, 1], "depth": [5, 4], "total": [7, 6], "weight_depth": [0, 1]},
        student={"epoch": [1, 1, 2], "depth": [5, 3, 4], "spearman": [2, 0, 0.5], "total": [7, 7, 6]},
    )
    charts = training_charts(results)
    assert [chart.title for chart in charts] == ["total", "depth", "spearman"]
    assert [line.network for line in charts[0].series] == ["control", "student"]
    assert [line.network for line in charts[2].series] == ["student"]
    assert charts[1].series[1].y.tolist() == [4, 4]
    assert "Student from 1 to 0.5" in charts[2].description
    assert [chart.title for chart in training_charts(results, weights=True)] == ["depth"]
    still = history(student={"epoch": [1, 2], "depth": [5, 4], "weight_depth": [1, 1]})
    assert training_charts(still, weights=True) == []


def test_axis_is_logarithmic_only_for_wide_positive_terms() -> None:
    columns: dict[str, list[float]] = {"epoch": [1, 2], "wide": [100, 1], "narrow": [2, 1], "signed": [100, -1]}
    charts = training_charts(history(student=columns))
    assert {chart.title: chart.logarithmic for chart in charts} == {"wide": True, "narrow": False, "signed": False}


def test_the_line_ends_where_recall_does() -> None:
    rows = [("student", "loose", "Car", "3d", "moderate", *point) for point in ((0, 1), (0.5, 0.25), (1, 0))]
    rows += [("student", "loose", "Car", "3d", "easy", 0, 0.5)]
    curves = pd.DataFrame(rows, columns=["network", *KEY, "recall", "precision"])
    (chart,) = pr_charts(Results(("student",), NONE, curves=curves), "Car")
    assert chart.title == "3D, loose, IoU 0.5"
    assert chart.series[0].y[:2].tolist() == [1, 0.25]
    assert np.isnan(chart.series[0].y[2])
    assert "Student reaches recall 0.50" in chart.description


def test_headline_charts_share_their_axis_and_hold_every_interval(tmp_path: Path) -> None:
    """Loose and strict compare by eye only on one scale."""
    results = write_results_of(tmp_path, {})
    charts = headline_charts(results, "Car")
    assert [chart.title for chart in charts] == ["Loose, IoU 0.5", "Strict, IoU 0.7"]
    (limits,) = {chart.x_limits for chart in charts}
    assert limits is not None
    assert all(line.high is not None and line.high.max() <= limits[1] for chart in charts for line in chart.series)
    assert headline_charts(Results(("student",), NONE), "Car") == []


def test_distance_charts_count_objects_and_share_their_axis() -> None:
    """An empty band is a gap, AP without intervals has no bars, 3D and BEV compare by eye; networks stand side by side.

    A network without detections has empty cells: the number of objects comes from the others.
    """
    none = (np.nan,) * 3
    bands = {
        "3d": [(0, 15, 40, 60, 50, 70.5), (15, 25, 0, *none)],
        "bev": [(0, 15, 40, 80, *none[:2]), (15, 25, 0, *none)],
    }
    rows: list[Any] = [
        ("student", "loose", "Car", metric, "moderate", *band) for metric in bands for band in bands[metric]
    ]
    rows += [("teacher", *row[1:7], np.nan, *none) for row in rows]
    table = pd.DataFrame(rows, columns=["network", *KEY, *BAND_COLUMNS])
    charts = distance_charts(Results(("student", "teacher"), NONE, bands=table), "Car")
    assert [chart.title for chart in charts] == ["3D, loose, IoU 0.5", "BEV, loose, IoU 0.5"]
    assert list(charts[0].x_ticks) == ["0–15\n(40)", "15–25\n(0)"]
    assert "Student: 0–15 m 60.0;" in charts[0].description
    assert {chart.y_limits[1] for chart in charts if chart.y_limits} == {90}
    assert charts[1].series[0].high is not None
    assert np.isnan(charts[1].series[0].high).all()
    assert [line.x[0] for line in charts[0].series] == [-0.045, 0.045]
    nothing = Results(("teacher",), NONE, bands=table[table["network"] == "teacher"])
    assert distance_charts(nothing, "Car") == distance_charts(nothing, "Cyclist") == []


def test_same_chart_same_text_without_date_or_version() -> None:
    for chart in (CHART, ROWS):
        assert to_svg(chart) == to_svg(chart)
        assert not re.search(r"20\d\d-|Matplotlib|<metadata", to_svg(chart))


def test_well_formed_with_its_words_for_those_who_cannot_see() -> None:
    """Dollar signs are no mathematics, angle brackets no elements."""
    root = ElementTree.fromstring(to_svg(replace(CHART, x_label="$x_1$ <b>")))
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'says "x" & <y>'
    assert "$x_1$ <b>" in "".join(root.itertext())


def test_ids_do_not_clash_and_every_reference_resolves() -> None:
    """Two charts on one page: a clip path of one must not cut the other."""
    svgs = to_svg(CHART), to_svg(replace(CHART, key="three"))
    ids = [re.findall(r'\bid="([^"]*)"', svg) for svg in svgs]
    assert not set(ids[0]) & set(ids[1])
    for svg, mine in zip(svgs, ids, strict=True):
        assert len(mine) == len(set(mine))
        assert set(re.findall(r"url\(#([^)]*)\)", svg)) | set(re.findall(r'href="#([^"]*)"', svg)) <= set(mine)


def test_colours_come_from_the_page() -> None:
    for svg in (to_svg(CHART), to_svg(ROWS)):
        assert "var(--student)" in svg
        assert "var(--soft)" in svg
        assert not re.search(r"(stroke|fill): #", svg)


def test_single_points_and_gaps_are_drawn() -> None:
    assert "<use " in to_svg(replace(CHART, markers=False, series=(Series("student", X[:1], X[:1]),)))
    assert to_svg(replace(CHART, series=(Series("student", X, np.array([1, np.nan, 2, np.nan, 3.0])),)))
