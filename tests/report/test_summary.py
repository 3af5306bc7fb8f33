"""The headline in words and numbers, and what a run prints at its end."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from monokd.errors import DataError
from monokd.report.results import AP_COLUMNS, KEY
from monokd.report.summary import finding, main, summary
from tests.conftest import ROOT, set_params
from tests.report.fakes import git, table


def loose(student: float | None, control: float | None, teacher: float | None, *ends: float) -> pd.DataFrame:
    values = {"student": student, "control": control, "teacher": teacher}
    rows: dict[str, Any] = {name: [{"iou": "loose", "metric": "3d", "ap": value}] for name, value in values.items()}
    rows["student"][0] |= dict(zip(("difference_low", "difference_high"), ends, strict=False))
    return table(rows)


def test_finding_says_what_the_figures_say() -> None:
    """A gain, a loss, and a teacher that is no better each get a true sentence."""
    gain = finding(loose(15.0, 10.0, 30.0, 1.0, 9.04), "Car")
    assert "5.00 points more than the control (10.00 %)" in gain
    assert "The 95 % interval of the difference is +1.0 to +9.0 points. The teacher" in gain
    assert "closes 25 % of the gap between control and teacher" in gain
    worse = finding(loose(9.0, 10.0, 30.0), "Car")
    assert "1.00 points less than the control" in worse
    assert "closes" not in worse
    assert "closes" not in finding(loose(15.0, 10.0, 10.0), "Car")
    assert finding(loose(None, 10.0, 30.0), "Car") == finding(loose(15.0, None, 30.0), "Car") == ""


def test_finding_claims_nothing_where_the_interval_includes_zero_or_nothing_was_distilled() -> None:
    open_ = finding(loose(15.0, 10.0, 30.0, -0.25, 9.0), "Car")
    assert "−0.2 to +9.0 points, which includes 0: these frames do not decide" in open_
    alike = finding(loose(15.0, 10.0, 30.0, 1.0, 9.0), "Car", distilled=False)
    assert "here trained without distillation like the control" in alike
    assert "closes" not in open_ + alike


def test_summary_holds_the_headline_and_null_where_undefined() -> None:
    figures = summary(loose(15.0, None, 30.0), ("control", "student"))
    assert figures["student"]["Car"] == {"3d_loose": 15.0, "bev_loose": None, "3d_strict": None, "bev_strict": None}
    assert figures["control"]["Car"]["3d_loose"] is None
    assert figures["gain"]["Car"]["3d_loose"] is None
    assert summary(loose(15.0, 10.0, 30.0), ("control", "student"))["gain"]["Car"]["3d_loose"] == 5
    assert "gain" not in summary(loose(15.0, 10.0, 30.0), ("student",))


def state(value: float, network: str = "student", classes: Sequence[str] = ("Car",)) -> None:
    """Results of a network in the working folder."""
    folder = Path("metrics", network)
    folder.mkdir(parents=True, exist_ok=True)
    ap = table({network: [{"class": name, "iou": "loose", "metric": "3d", "ap": value} for name in classes]})
    ap.drop(columns="network").to_csv(folder / "ap.csv", index=False)
    (folder / "kitti.json").write_text(json.dumps({"loose": {"Car": {"3d_R40": {"moderate": value}}}}))


def test_the_terminal_says_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Car first though listed second, and nothing was distilled where no term has a weight and no boxes were labels."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(tmp_path, loss="none")
    for value, network in enumerate(("control", "student")):
        state(20.0 + value, network, ("Pedestrian", "Car"))
    main()
    printed = " ".join(capsys.readouterr().out.split())
    assert "here trained without distillation like the control, reaches 21.00 % (Car, 3D" in printed
    Path("metrics/labels.json").write_text('{"frames": 640, "boxes": "teacher"}')
    main()
    assert "The student reaches 21.00 % (Car, 3D" in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git on PATH")
def test_a_run_ends_with_its_table_and_its_change_against_the_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("COLUMNS", "120")

    def printed() -> str:
        main()
        return " ".join(capsys.readouterr().out.split())

    with pytest.raises(DataError, match="metrics: expected results, found none"):
        main()
    state(20.0)
    assert "20.00" in (text := printed())
    assert "last commit" not in text
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        git(*command)
    assert "These are the figures of the last commit." in printed()
    state(21.5)
    spread = {"seed_std": {"3d_R40": 1.94, "bev_R40": 2}, "threads": {"3d_R40": 3.1}}
    Path("metrics/spread.json").write_text(json.dumps(spread))
    assert "+1.50 (was 20.00)" in (text := printed())
    assert (
        "For comparison: trainings from different seeds differ by (standard deviation) 3D R40 1.9, BEV R40 2.0 points; "
        "one seed on different numbers of threads differs by 3D R40 3.1 points."
    ) in text
    Path("metrics/student/ap.csv").write_text(",".join((*KEY, "points", *AP_COLUMNS)))  # of frames without labels
    assert "+1.50" not in printed()
