"""SVG that is well-formed, the same every time, safe beside others on a page, and follows the page's colours."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from monokd.report.charts import Chart, Series, to_svg
from monokd.report.styles import BASELINE, STUDENT

X = np.arange(5.0)
CHART = Chart(
    key="one",
    title="a title",
    description='says "x" & <y>',
    x_label="epoch",
    y_label="loss",
    series=(Series(STUDENT, X, X**2, css="student"), Series(BASELINE, X, X + 1, X, X + 2, css="baseline")),
    markers=True,
)
ROWS = replace(
    CHART, key="two", rows=("3D", "BEV"), series=(Series(STUDENT, X[:2], X[:2], X[:2] - 1, X[:2] + 1, css="student"),)
)


def ids(svg: str) -> list[str]:
    return re.findall(r'\bid="([^"]*)"', svg)


def test_same_chart_same_text() -> None:
    assert to_svg(CHART) == to_svg(CHART)
    assert to_svg(ROWS) == to_svg(ROWS)


def test_well_formed_with_its_words_for_those_who_cannot_see() -> None:
    root = ElementTree.fromstring(to_svg(CHART))
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'says "x" & <y>'
    assert "epoch" in "".join(root.itertext())


def test_ids_do_not_clash_and_every_reference_resolves() -> None:
    """Two charts on one page: a clip path of one must not cut the other."""
    one, two = to_svg(CHART), to_svg(replace(CHART, key="three"))
    assert not set(ids(one)) & set(ids(two))
    for svg in (one, two):
        assert len(ids(svg)) == len(set(ids(svg)))
        references = set(re.findall(r"url\(#([^)]*)\)", svg)) | set(re.findall(r'href="#([^"]*)"', svg))
        assert references <= set(ids(svg))


def test_colours_come_from_the_page() -> None:
    for svg in (to_svg(CHART), to_svg(ROWS)):
        assert "var(--student)" in svg
        assert "var(--soft)" in svg
        assert not re.search(r"(stroke|fill): #", svg)


def test_text_stays_text_and_no_formula() -> None:
    """Dollar signs in names are no mathematics, angle brackets no elements."""
    svg = to_svg(replace(CHART, x_label="$x_1$ <b>"))
    assert "$x_1$ &lt;b&gt;" in svg


def test_single_points_and_gaps_are_drawn() -> None:
    lonely = replace(CHART, markers=False, series=(Series(STUDENT, X[:1], X[:1], css="student"),))
    assert "<use " in to_svg(lonely)
    gap = replace(CHART, series=(Series(STUDENT, X, np.array([1, np.nan, 2, np.nan, 3.0]), css="student"),))
    assert to_svg(gap)


def test_no_dates_or_versions() -> None:
    assert not re.search(r"20\d\d-|Matplotlib|<metadata", to_svg(CHART))
