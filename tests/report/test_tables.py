"""One table for page, README and terminal."""

from typing import Any

from monokd.report import tables
from monokd.report.tables import Cell, Column, Table, changes, headline, to_markdown
from tests.report.fakes import table

NETWORKS = ("teacher", "student")


def row(iou: str, metric: str, ap: float | None, **more: Any) -> dict[str, Any]:
    return {"iou": iou, "metric": metric, "ap": ap} | more


def both(loose: list[float | None], strict: list[float | None]) -> list[dict[str, Any]]:
    pairs = (("loose", loose), ("strict", strict))
    return [row(iou, metric, ap) for iou, aps in pairs for metric, ap in zip(("3d", "bev"), aps, strict=True)]


AP = table({"teacher": both([50, 60], [20, 30]), "student": both([55.25, 40], [10, None])})
AP.loc[AP["ap"] == 55.25, ["low", "high"]] = 50.06, 60.0


def test_headline_markdown_by_hand() -> None:
    """Best in bold per column, undefined as a dash, interval in brackets; neighbours share a head."""
    assert headline(AP, "Car", NETWORKS).groups == (("", 1), ("Loose, IoU 0.5", 2), ("Strict, IoU 0.7", 2))
    assert to_markdown(headline(AP, "Car", NETWORKS)) == (
        "| Network | Loose, IoU 0.5 3D | Loose, IoU 0.5 BEV | Strict, IoU 0.7 3D | Strict, IoU 0.7 BEV |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| Teacher | 50.00 | **60.00** | **20.00** | **30.00** |\n"
        "| Student | **55.25** (50.1–60.0) | 40.00 | 10.00 | – |\n"
    )


def test_names_are_taken_literally() -> None:
    """Pipes and line breaks stay in their cell."""
    odd = Table("t", (Column("[bold]"), Column("a|b", "both")), ((Cell("[red]x[/red]"), Cell("x|y\nz", "0–1")),))
    lines = ["| [bold] | both a\\|b |", "| --- | ---: |", "| [red]x[/red] | x\\|y z (0–1) |"]
    assert to_markdown(odd).splitlines() == lines


def test_differences_to_the_control_with_their_intervals() -> None:
    """Those whose interval excludes 0 stand out."""
    open_, sure = ({"difference": d, "difference_low": d - 6, "difference_high": d + 5} for d in (5.25, 7.0))
    student = [row("loose", "3d", 6, **open_), row("loose", "bev", 8, **sure)]
    ap = table({"control": [row("loose", "3d", 1.0)], "student": student})
    made = tables.differences(ap, "Car", ("control", "student"))
    assert made is not None
    ((name, *cells),) = made.rows
    assert name.text == "Student"
    assert cells == [Cell("+5.25", "−0.8 to +10.2"), Cell("+7.00", "+1.0 to +12.0", True), Cell("–"), Cell("–")]
    assert tables.differences(AP, "Car", NETWORKS) is None


def test_changes_show_sign_and_former_value_and_stand_out_beyond_the_interval() -> None:
    """The interval is 50.06 to 60: 56 lies inside it, 50 does not."""
    before: Any = {"student": {"loose": {"Car": {"3d_R40": {"moderate": 56.0}, "bev_R40": {"moderate": 40.0}}}}}
    teacher, student = changes(AP, before, "Car", NETWORKS).rows
    assert student[1:3] == (Cell("−0.75", "was 56.00"), Cell("0.00", "unchanged"))
    assert all(cell.text == "–" for cell in (*teacher[1:], *student[3:]))
    before["student"]["loose"]["Car"]["3d_R40"]["moderate"] = 50.0
    assert changes(AP, before, "Car", NETWORKS).rows[1][1] == Cell("+5.25", "was 50.00", True)
