"""One table logic for page, README and terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from monokd.report.tables import (
    Cell,
    Column,
    Table,
    changes,
    classes_of,
    depth_errors,
    detail,
    differences,
    flatten,
    headline,
    interval_of,
    iou_of,
    key_values,
    settings_changes,
    to_markdown,
    to_rich,
    value_of,
)

TEACHER: dict[str, Any] = {
    "strict": {"Car": {"3d_R40": {"moderate": 20.0}, "bev_R40": {"moderate": 30.0}}},
    "loose": {"Car": {"3d_R40": {"moderate": 50.0}, "bev_R40": {"moderate": 60.0}}},
}
STUDENT: dict[str, Any] = {
    "strict": {"Car": {"3d_R40": {"moderate": 10.0}, "bev_R40": {"moderate": None}}},
    "loose": {"Car": {"3d_R40": {"moderate": 55.25}, "bev_R40": {"moderate": 40.0}}},
    "bootstrap": {"loose": {"Car": {"3d_R40": {"moderate": [50.06, 60.0]}}}},
}
MODELS = {"teacher": TEACHER, "student": STUDENT}


def test_headline_markdown_by_hand() -> None:
    """Best in bold per column, undefined as a dash, interval in brackets."""
    assert to_markdown(headline(MODELS)) == (
        "| Network | Loose, IoU 0.5 3D | Loose, IoU 0.5 BEV | Strict, IoU 0.7 3D | Strict, IoU 0.7 BEV |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| Teacher | 50.00 | **60.00** | **20.00** | **30.00** |\n"
        "| Student | **55.25** (50.1–60.0) | 40.00 | 10.00 | – |\n"
    )


def test_terminal_shows_the_same_figures() -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(to_rich(headline(MODELS)))
    text = console.export_text()
    for figure in ("55.25", "60.00", "Loose, IoU 0.5", "Strict, IoU 0.7", "Teacher", "Student"):
        assert figure in text


def test_terminal_takes_names_literally() -> None:
    """A name with square brackets is no markup."""
    table = Table("t", (Column("[bold]"), Column("n")), ((Cell("[red]x[/red]"), Cell("1")),))
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(to_rich(table))
    assert "[red]x[/red]" in console.export_text()


def test_markdown_keeps_pipes_and_lines_in_their_cell() -> None:
    table = Table("t", (Column("a|b"), Column("n")), ((Cell("x|y\nz"), Cell("1")),))
    assert to_markdown(table).splitlines()[2] == "| x\\|y z | 1 |"
    assert "a\\|b" in to_markdown(table)


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells in a row, found 1"):
        Table("t", (Column("a"), Column("b")), ((Cell("1"),),))


def test_groups_span_their_neighbours() -> None:
    assert headline(MODELS).groups == (("", 1), ("Loose, IoU 0.5", 2), ("Strict, IoU 0.7", 2))
    assert key_values("t", {"a": 1}).groups == ()


def test_changes_show_sign_and_former_value() -> None:
    earlier = {"student": {"loose": {"Car": {"3d_R40": {"moderate": 56.0}, "bev_R40": {"moderate": 40.0}}}}}
    rows = {row[0].text: row[1:] for row in changes(MODELS, earlier).rows}
    assert rows["Student"][0] == Cell("−0.75", "was 56.00")
    assert rows["Student"][1] == Cell("0.00", "unchanged")
    assert all(cell.text == "–" for cell in rows["Teacher"])


def test_changes_beyond_the_interval_stand_out() -> None:
    """The interval is 50.06 to 60: 56 lies inside it, 50 does not."""
    for old, beyond in ((56.0, False), (50.0, True)):
        row = changes({"student": STUDENT}, {"student": {"loose": {"Car": {"3d_R40": {"moderate": old}}}}}).rows[0]
        assert row[1].best is beyond


def test_settings_that_differ() -> None:
    table = settings_changes([("loss", "monoskd", "none"), ("losses.none.new", None, 0.5)])
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["loss", "monoskd", "none"],
        ["losses.none.new", "–", "0.5"],
    ]
    assert settings_changes([]) is None


def test_detail_orders_metrics_and_skips_classes_without_figures() -> None:
    table = detail("student", STUDENT, "Car")
    assert table is not None
    assert [row[0].text for row in table.rows] == ["3D R40", "BEV R40"]
    assert table.rows[0][2] == Cell("55.25")
    assert detail("student", {"strict": {"Cyclist": {"3d_R40": {"hard": None}}}}, "Cyclist") is None


def test_thresholds_by_class() -> None:
    assert [iou_of("strict", "Car"), iou_of("loose", "Car")] == [0.7, 0.5]
    assert [iou_of("strict", "Cyclist"), iou_of("loose", "Pedestrian")] == [0.5, 0.25]


def test_absent_figures_are_none() -> None:
    assert value_of({}, "loose", "Car", "3d_R40") is None
    assert interval_of(TEACHER, "loose", "Car", "3d_R40") is None
    assert interval_of({"bootstrap": None}, "loose", "Car", "3d_R40") is None


def test_differences_with_their_intervals() -> None:
    entry = {"value": 5.25, "low": -0.44, "high": 10.0, "above": 0.97}
    found = {"against": "runs/predictions/baseline/", "loose": {"Car": {"3d_R40": {"moderate": entry}}}, "strict": {}}
    table = differences({"teacher": TEACHER, "student": {"difference": found}})
    assert table is not None
    assert [cell.text for cell in table.rows[0]] == ["Student − Baseline", "+5.25", "–", "–", "–"]
    assert table.rows[0][1].note == "−0.4 to +10.0"
    assert len(table.rows) == 1
    assert differences({"student": STUDENT}) is None


def test_classes_keep_their_order_once() -> None:
    assert classes_of([{"strict": {"Car": {}, "Cyclist": {}}, "loose": {"Car": {}}}, {"strict": {"Bus": {}}}]) == [
        "Car",
        "Cyclist",
        "Bus",
    ]


def test_nested_settings_get_dotted_names() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": True}) == [("a.b", 1), ("a.c.d", None), ("e", True)]
    texts = [row[1].text for row in key_values("t", {"n": None, "b": True, "f": 0.00012345, "s": [1, 2]}).rows]
    assert texts == ["–", "yes", "0.0001234", "[1, 2]"]


def test_depth_errors_by_band() -> None:
    bands = {"0_10_m": {"rmse_m": 0.3, "mae_m": 0.1, "returns": 7}, "60_256_m": {"rmse_m": None, "mae_m": None}}
    table = depth_errors({"filled": 0.991, "rmse_m": 1.5, "mae_m": 0.5, "returns": 9, "bands": bands})
    assert "99.1 % of pixels filled" in table.caption
    assert [[c.text for c in row] for row in table.rows] == [
        ["All returns", "1.50", "0.50", "9"],
        ["At 0 to 10 m", "0.30", "0.10", "7"],
        ["At 60 to 256 m", "–", "–", "–"],
    ]


def test_depth_errors_of_another_form_are_listed_as_they_are() -> None:
    assert [[c.text for c in row] for row in depth_errors({"x": {"y": 2}}).rows] == [["x.y", "2"]]
