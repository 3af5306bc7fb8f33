"""Saved states: whom they belong to, how many stay, where the optimiser's tensors lie."""

import os
from pathlib import Path

import pytest
import torch

from monokd.training import state
from monokd.training.state import StateWriter, checkpoint_folder, fingerprint, load_state


def test_a_state_belongs_to_its_stages_code_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which code that is stands in `tests/test_pipeline.py`."""
    code = tmp_path / "net.py"
    code.write_text("a = 1\n")
    monkeypatch.setattr(state, "stage_code", lambda stage: [code])
    first = fingerprint("teacher", {"seed": 0}, [])
    assert fingerprint("teacher", {"seed": 0}, []) == first
    assert fingerprint("teacher", {"seed": 1}, []) != first
    code.write_text("a = 2\n")
    assert fingerprint("teacher", {"seed": 0}, []) != first


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


def test_a_state_is_written_in_the_background_as_it_was_when_handed_over(tmp_path: Path) -> None:
    writer = StateWriter(tmp_path / "state.pt", minutes=1)
    assert not writer.due()
    weight = torch.zeros(3)
    writer.write({"epoch": 1, "step": {"weight": weight}})
    weight += 1
    writer.close()
    found = load_state(tmp_path / "state.pt")
    assert found is not None
    assert found["step"]["weight"].tolist() == [0, 0, 0]


def test_a_disk_that_refuses_is_heard_of(tmp_path: Path) -> None:
    writer = StateWriter(tmp_path / "absent" / "x" / "state.pt", minutes=1)
    (tmp_path / "absent").write_text("a file where a folder should be")
    writer.write({"epoch": 1})
    with pytest.raises(OSError):
        writer.close()
