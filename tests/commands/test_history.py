"""A history held to the authors' log."""

from pathlib import Path

import pandas as pd
import pytest
import typer

from monokd.commands.history import LOGS, history
from monokd.errors import DataError


def test_the_published_log_is_within_its_own_range(capsys: pytest.CaptureFixture[str]) -> None:
    history(LOGS / "monoskd.csv", "monoskd")
    assert "17 of 17 columns within" in capsys.readouterr().out


def test_the_epoch_at_which_a_loss_leaves_the_range_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = pd.read_csv(LOGS / "monoskd.csv")
    own.loc[own["epoch"] >= 40, "depth"] *= 2
    own.to_csv(tmp_path / "history.csv", index=False)
    with pytest.raises(typer.Exit) as stop:
        history(tmp_path / "history.csv", "monoskd")
    assert stop.value.exit_code == 1
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.split()[0] == "depth")
    assert "leaves it at epoch 40: " in line
    assert "16 of 17 columns within" in out


def test_a_short_run_is_compared_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_csv(LOGS / "monodistill.csv").head(3).to_csv(tmp_path / "history.csv", index=False)
    history(tmp_path / "history.csv", "monodistill")
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 epochs compared")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "epoch,b\n1,2\n"])
def test_what_is_no_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(DataError, match=r"history\.csv:.* expected (a CSV table|a column 'epoch'|columns epoch)"):
        history(tmp_path / "history.csv", "monoskd")
