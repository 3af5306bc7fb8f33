"""Saved states: whom they belong to, how many stay."""

import os
from pathlib import Path

import pytest

from monokd.training import state
from monokd.training.state import checkpoint_folder, fingerprint


def test_a_state_belongs_to_the_code_of_its_stage_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of a page, a command or another stage keeps it; an edit of what trains does not."""
    for name in ("models/net.py", "report/page.py", "params.py"):
        (tmp_path / "src/monokd" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src/monokd" / name).write_text("a = 1\n")
    deps = "[src/monokd/models, src/monokd/params.py, data/demo]"
    (tmp_path / "dvc.yaml").write_text(f"stages: {{teacher: {{cmd: x, deps: {deps}}}}}\n")
    monkeypatch.setattr(state, "PROJECT", tmp_path)
    first = fingerprint("teacher", {"seed": 0}, [])
    (tmp_path / "src/monokd/report/page.py").write_text("a = 2\n")
    assert fingerprint("teacher", {"seed": 0}, []) == first
    assert fingerprint("teacher", {"seed": 1}, []) != first
    for name in ("params.py", "models/net.py"):
        (tmp_path / "src/monokd" / name).write_text("a = 2\n")
        assert fingerprint("teacher", {"seed": 0}, []) != first
        (tmp_path / "src/monokd" / name).write_text("a = 1\n")


def test_other_runs_states_stay_and_only_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "FOLDER", tmp_path)
    for age in range(state.KEPT_STATES + 1):
        folder = tmp_path / f"teacher-{age}"
        folder.mkdir()
        os.utime(folder, (1000 - age, 1000 - age))
    checkpoint_folder("baseline", "new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"baseline-new"} | {f"teacher-{age}" for age in range(state.KEPT_STATES)}
    said = capsys.readouterr().err
    assert f"teacher-{state.KEPT_STATES}: the state of an older run is removed" in said
    assert f"keeps {state.KEPT_STATES} states of other unfinished runs" in said
