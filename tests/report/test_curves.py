"""CSV files become charts; faults are named by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monokd.errors import DataError
from monokd.report.curves import (
    distance_charts,
    headline_charts,
    precision_recall_charts,
    read_history,
    read_precision_recall,
    training_charts,
)
from tests.report.fakes import metrics


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_history_is_averaged_over_each_epoch(tmp_path: Path) -> None:
    path = written(tmp_path / "h.csv", "epoch,step,lr,depth\n1,1,0.1,4\n1,2,0.1,2\n2,3,0.1,\n")
    history = read_history(path)
    assert history["epoch"].tolist() == [1, 2]
    assert history["depth"][0] == 3
    assert np.isnan(history["depth"][1])


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", "expected a column 'epoch'"),
        ("epoch,a\n", "at least one row"),
        ("step,a\n1,2\n", "expected a column 'epoch'"),
        ("epoch,a\n1,2\n2,x\n", "h.csv:3: expected a number, found 'x'"),
        ("epoch,a\n1\n", "h.csv:2: expected 2 cells, found 1"),
    ),
)
def test_broken_history_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_history(written(tmp_path / "h.csv", text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot read the table"):
        read_history(tmp_path / "none.csv")


def test_binary_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="expected a CSV table"):
        read_history(path)


def test_charts_one_a_term_total_first(tmp_path: Path) -> None:
    """A term that only the student has gets a chart with its line alone."""
    a = read_history(written(tmp_path / "a.csv", "epoch,lr,depth,total,weight_depth\n1,1,5,7,0\n2,1,4,6,1\n"))
    b = read_history(written(tmp_path / "b.csv", "epoch,lr,depth,spearman,total\n1,1,5,1,7\n2,1,4,.5,6\n"))
    charts = training_charts({"baseline": a, "student": b})
    assert [chart.title for chart in charts] == ["total", "depth", "spearman"]
    assert [line.style.label for line in charts[0].series] == ["Baseline", "Student"]
    assert [line.style.label for line in charts[2].series] == ["Student"]
    assert "Student from 1 to 0.5" in charts[2].description
    assert [chart.title for chart in training_charts({"baseline": a}, weights=True)] == ["depth"]


def test_weights_that_stand_still_make_no_chart(tmp_path: Path) -> None:
    a = read_history(written(tmp_path / "a.csv", "epoch,depth,weight_depth\n1,5,1\n2,4,1\n"))
    assert training_charts({"baseline": a}, weights=True) == []


def test_axis_is_logarithmic_only_for_wide_positive_terms(tmp_path: Path) -> None:
    text = "epoch,wide,narrow,signed\n1,100,2,100\n2,1,1,-1\n"
    charts = training_charts({"student": read_history(written(tmp_path / "a.csv", text))})
    assert {chart.title: chart.logarithmic for chart in charts} == {"wide": True, "narrow": False, "signed": False}


def test_precision_recall_by_key_and_line_ends_where_recall_does(tmp_path: Path) -> None:
    text = (
        "iou,class,metric,difficulty,recall,precision\n"
        "loose,Car,3d,moderate,0,1\nloose,Car,3d,moderate,0.5,0.25\nloose,Car,3d,moderate,1,0\n"
        "loose,Car,3d,easy,0,0.5\n"
    )
    curves = read_precision_recall(written(tmp_path / "pr.csv", text))
    assert curves["loose", "Car", "3d", "easy"].tolist() == [[0, 0.5]]
    (chart,) = precision_recall_charts({"student": curves}, "Car")
    assert chart.title == "3D, loose, IoU 0.5"
    assert chart.series[0].y[:2].tolist() == [1, 0.25]
    assert np.isnan(chart.series[0].y[2])
    assert "Student reaches recall 0.50" in chart.description


def test_precision_recall_without_a_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pr\.csv:1: expected a column 'precision'"):
        read_precision_recall(written(tmp_path / "pr.csv", "iou,class,metric,difficulty,recall\n"))


def test_headline_charts_share_their_axis_and_hold_every_interval() -> None:
    """Loose and strict compare by eye only on one scale."""
    models = {"teacher": metrics(np.random.default_rng(0), 20.0), "student": metrics(np.random.default_rng(1), 9.0)}
    charts = headline_charts(models, "Car")
    assert [chart.title for chart in charts] == ["Loose, IoU 0.5", "Strict, IoU 0.7"]
    limits = {chart.x_limits for chart in charts}
    assert len(limits) == 1
    limit = limits.pop()
    assert limit is not None
    assert all(line.high is not None and line.high.max() <= limit[1] for chart in charts for line in chart.series)


def test_headline_charts_of_nothing() -> None:
    assert headline_charts({"student": {}}, "Car") == []


def test_distance_chart_counts_objects() -> None:
    found = {"student": (np.array([50.0, np.nan]), np.array([4, 0]))}
    (chart,) = distance_charts(found, (0, 10, 20), "Car")
    assert [text for _, text in chart.x_ticks] == ["0–10\n(4)", "10–20\n(0)"]
    assert "Student: 0–10 m 50 %." in chart.description
    assert distance_charts({"student": (np.array([np.nan]), np.array([0]))}, (0, 10), "Car") == []
