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
    read_distances,
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
        ("epoch,a\n1,2\n2,x\n", "h.csv:3: expected a finite number, found 'x'"),
        ("epoch,a\n1\n", "h.csv:2: expected 2 cells, found 1"),
    ),
)
def test_broken_history_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_history(written(tmp_path / "h.csv", text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: no such table"):
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


BANDS = (
    "iou,class,metric,difficulty,from_m,to_m,objects,ap,low,high\n"
    "loose,Car,3d,moderate,0,15,40,60,50,70.5\nloose,Car,3d,moderate,15,25,0,,,\n"
    "loose,Car,bev,moderate,0,15,40,80,,\nloose,Car,bev,moderate,15,25,0,,,\n"
)


def test_distance_charts_count_objects_and_share_their_axis(tmp_path: Path) -> None:
    """An empty band is a gap, AP without intervals has no bars, 3D and BEV compare by eye."""
    mine = read_distances(written(tmp_path / "d.csv", BANDS))
    charts = distance_charts({"student": mine}, "Car")
    assert [chart.title for chart in charts] == ["3D, loose, IoU 0.5", "BEV, loose, IoU 0.5"]
    assert [text for _, text in charts[0].x_ticks] == ["0–15\n(40)", "15–25\n(0)"]
    assert "Student: 0–15 m 60.0." in charts[0].description
    assert {chart.y_limits[1] for chart in charts if chart.y_limits} == {90}
    assert charts[1].series[0].high is not None
    assert np.isnan(charts[1].series[0].high).all()
    assert distance_charts({"student": mine}, "Cyclist") == []


def test_networks_stand_beside_each_other_in_a_band(tmp_path: Path) -> None:
    mine = read_distances(written(tmp_path / "d.csv", BANDS))
    chart = distance_charts({"teacher": mine, "student": mine}, "Car")[0]
    assert [line.x[0] for line in chart.series] == [-0.045, 0.045]


def test_a_network_without_detections_has_no_bands(tmp_path: Path) -> None:
    """Its cells are empty; the number of objects comes from the others."""
    nothing = written(tmp_path / "n.csv", BANDS.splitlines()[0] + "\nloose,Car,3d,moderate,0,15,,,,\n")
    assert distance_charts({"student": read_distances(nothing)}, "Car") == []
    one = written(tmp_path / "o.csv", BANDS.splitlines()[0] + "\nloose,Car,3d,moderate,0,15,7,5,4,6\n")
    (chart,) = distance_charts({"teacher": read_distances(nothing), "student": read_distances(one)}, "Car")
    assert chart.x_ticks == ((0.0, "0–15\n(7)"),)


def test_distances_without_a_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d\.csv:1: expected a column 'low'"):
        read_distances(written(tmp_path / "d.csv", BANDS.replace("low,", "deep,")))
