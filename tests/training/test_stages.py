"""Training stages as programs: they repeat to the bit, survive a kill, and never continue from another run's state."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, set_params


def start(workspace: Path, stage: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "stages" / f"{stage}.py"), *arguments],
        cwd=workspace,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(workspace: Path, stage: str, *arguments: str) -> str:
    process = start(workspace, stage, *arguments)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def refused(workspace: Path, stage: str, *arguments: str) -> str:
    """The one line with which a stage refuses to run."""
    process = start(workspace, stage, *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    return errors


def digest(workspace: Path, model: str) -> str:
    return hashlib.sha256((workspace / f"data/models/{model}.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def trained(tiny_workspace: Path) -> Path:
    """The workspace after an uninterrupted run of all stages that train, and of the one that labels."""
    for stage in ("teacher", "baseline", "label", "control", "distill"):
        run(tiny_workspace, stage)
    return tiny_workspace


def kill_after_an_epoch(workspace: Path) -> None:
    """Start stage `teacher` and kill it as soon as it has saved a state."""
    process = start(workspace, "teacher")
    while not list(workspace.glob(".checkpoints/teacher-*/state.pt")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (workspace / "data/models/teacher.safetensors").exists()


def test_a_killed_stage_continues_to_the_same_bits(trained: Path, workspace: Path) -> None:
    kill_after_an_epoch(workspace)
    assert "monokd: teacher: goes on after epoch" in run(workspace, "teacher")
    assert digest(workspace, "teacher") == digest(trained, "teacher")
    history = "metrics/teacher/history.csv"
    assert (workspace / history).read_bytes() == (trained / history).read_bytes()
    assert not list(workspace.glob(".checkpoints/*"))


def test_the_number_of_loader_workers_changes_no_bit(trained: Path, workspace: Path) -> None:
    set_params(workspace, profiles__demo__machine__workers=2, profiles__demo__machine__cache_images=False)
    run(workspace, "baseline")
    assert digest(workspace, "baseline") == digest(trained, "baseline")


def test_changed_parameters_do_not_continue_from_old_state(trained: Path, workspace: Path) -> None:
    set_params(workspace, seed=1)
    kill_after_an_epoch(workspace)
    (workspace / "params.yaml").write_bytes((trained / "params.yaml").read_bytes())
    assert "goes on" not in run(workspace, "teacher")
    assert digest(workspace, "teacher") == digest(trained, "teacher")


def test_the_control_differs_from_a_distilled_student_and_starts_from_the_baseline(trained: Path) -> None:
    digests = {model: digest(trained, model) for model in ("baseline", "control", "student")}
    assert len(set(digests.values())) == 3
    headers = {m: (trained / f"metrics/{m}/history.csv").read_text().splitlines()[0] for m in ("control", "student")}
    assert "spearman" in headers["student"]
    assert "spearman" not in headers["control"]


def test_without_unlabelled_frames_and_terms_the_student_is_its_control(trained: Path, workspace: Path) -> None:
    """To the bit: what differs between the two is the teacher alone."""
    (workspace / "data/models").mkdir()
    for model in ("teacher", "baseline"):
        name = f"data/models/{model}.safetensors"
        (workspace / name).write_bytes((trained / name).read_bytes())
    set_params(workspace, loss="none", profiles__demo__data__unlabelled_split="")
    run(workspace, "distill")
    assert digest(workspace, "student") == digest(trained, "control")


def test_an_unlabelled_frame_that_is_scored_is_refused(workspace: Path) -> None:
    set_params(workspace, profiles__demo__data__unlabelled_split="val")
    reason = "profiles.demo.data.unlabelled_split: expected frames that are not scored, 4 of them are of split val"
    assert reason in refused(workspace, "label")
    set_params(workspace, profiles__demo__data__unlabelled_root=str((workspace / "data/demo").resolve()))
    assert reason in refused(workspace, "label")  # the folder that a link leads to
    set_params(workspace, profiles__demo__data__unlabelled_split="near_val")
    assert "expected frames that do not look like one of val, found near_val" in refused(workspace, "label")


def test_a_labelled_frame_that_is_scored_is_refused(workspace: Path) -> None:
    (workspace / "data/demo").unlink()
    lists = workspace / "data/demo/ImageSets"
    lists.mkdir(parents=True)
    (lists.parent / "training/image_2").mkdir(parents=True)
    for name, frames in {"train": "000001 000002", "val": "000002 000003"}.items():
        (lists / f"{name}.txt").write_text(frames.replace(" ", "\n"))
    for number in range(4):
        (lists.parent / f"training/image_2/{number:06d}.png").touch()
    reason = "profiles.demo.data.train_split: expected frames that are not scored, 1 of them are of split val, first"
    assert f"{reason} 000002" in refused(workspace, "depth", "labelled")


def test_missing_data_ends_in_one_line(workspace: Path) -> None:
    (workspace / "data/depth").unlink()
    assert refused(workspace, "teacher").startswith("monokd: data/depth")
