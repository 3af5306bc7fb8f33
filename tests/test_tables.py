"""The tables of the pages equal the files of metrics."""

import json
from pathlib import Path
from typing import Any

import pytest
from docs.make_tables import MISSING, PAGES, filled, table


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tables_of_a_page_equal_the_files(page: Path) -> None:
    """`python docs/make_tables.py` writes them."""
    assert filled(page.read_text(encoding="utf-8")) == page.read_text(encoding="utf-8")


def test_no_place_for_a_measured_figure_is_left_open_once_there_is_a_control() -> None:
    summary = json.loads((PAGES[0].parent / "metrics/summary.json").read_text())
    if "control" in summary:
        assert not [page.name for page in PAGES if "{{" in page.read_text(encoding="utf-8")]


def test_the_summary_has_the_control_and_the_difference_to_it(tmp_path: Path) -> None:
    car = {"3d_loose": 40.0, "bev_loose": 50.0, "3d_strict": None, "bev_strict": 3.0}
    results = {"control": {"Car": car}, "student": {"Car": car | {"3d_loose": 52.5, "bev_strict": 2.5}}}
    (tmp_path / "summary.json").write_text(json.dumps(results))
    lines = table("summary", tmp_path).splitlines()
    assert "| **Student − control** | +12.50 | +0.00 | – | −0.50 |" in lines
    assert any(line.startswith("| Teacher") and line.endswith("| – | – | – | – |") for line in lines)


def test_the_study_by_hand(tmp_path: Path) -> None:
    """Two seeds, differences 2 and 4: mean 3, standard deviation √2, half the interval 12.71 · √2 / √2.

    Points of the curve are compared with their own control.
    """
    runs: list[dict[str, Any]] = [
        {"table": "arms", "arm": arm, "seed": seed, "3d_loose": value}
        for arm, values in {
            "control": (10.0, 20.0),
            "teacher's boxes": (12.0, 24.0),
            "teacher's boxes + term": (15.0, 25.0),
            "labels": (16.0, 26.0),
        }.items()
        for seed, value in enumerate(values)
    ]
    for n, arm, ap in ((16, "control", 5.0), (16, "boxes", 9.0), (80, "control", 30.0), (80, "boxes", 31.0)):
        runs.append({"table": "curve", "arm": arm, "seed": 0, "labelled": n, "3d_loose": ap})
    (tmp_path / "study.json").write_text(json.dumps({"runs": runs}))
    text = table("study:arms", tmp_path)
    assert "| teacher's boxes | 2 | 18.00 (+3.00 ± 12.7) | – | – | – | 0.50 | – |" in text
    assert "| teacher's boxes + term | 2 | 20.00 (+5.00 ± 0.0) | – | – | – | 0.83 | +2.00 ± 12.7 |" in text
    assert "| control | 2 | 15.00 | – | – | – | – | – |" in text
    curve = table("study:curve", tmp_path)
    assert "| 16 | boxes | 1 | 9.00 (+4.00) |" in curve
    assert "| 80 | boxes | 1 | 31.00 (+1.00) |" in curve


def test_the_gain_by_hand(tmp_path: Path) -> None:
    """Differences 2 and 4 as above; the second seed is not above its control at every figure."""
    figures = ("3d_loose", "bev_loose", "3d_strict")
    runs = [
        {"table": "arms", "arm": arm, "seed": seed, "bev_strict": last} | dict.fromkeys(figures, value)
        for arm, values in {
            "control": ((10.0, 5.0), (20.0, 5.0)),
            "teacher's boxes + monoskd": ((12.0, 6.0), (24.0, 5.0)),
        }.items()
        for seed, (value, last) in enumerate(values)
    ]
    (tmp_path / "study.json").write_text(json.dumps({"runs": runs}))
    text = table("gain", tmp_path)
    assert text.startswith("In 1 of 2 seeds")
    assert "3D, IoU 0.5: +3.00 ± 12.7; BEV" in text


def test_missing_files_say_so_and_unknown_figures_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"frames": 1640, "boxes": "teacher", "precision": 81.26, "recall": null}')
    assert "| teacher | 1,640 | 81.3 |" in table("labels", tmp_path)
    for name in ("summary", "study:arms"):
        assert table(name, tmp_path) == MISSING
    for name in ("finding", "spread", "gain", "losses", "picture"):
        assert not table(name, tmp_path)
