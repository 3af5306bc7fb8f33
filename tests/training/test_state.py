"""Saved states: whom they belong to, how many stay, where the optimiser's tensors lie."""

import os
from pathlib import Path

import pytest
import torch

from monokd.training import state
from monokd.training.state import StateWriter, checkpoint_folder, fingerprint, load_state


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
