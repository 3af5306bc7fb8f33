"""Experiments of a repository: which are compared, which are left out and why; once with a real DVC repository."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monokd.commands.experiments import Experiment, read_experiments, select_runs
from monokd.commands.summarize import as_json, show, summarize, to_table
from monokd.errors import DataError

PARAMS: dict[str, Any] = {
    "profile": "demo",
    "loss": "none",
    "seed": 0,
    "launch": "python",
    "losses.none.affinity": 0.0,
    "losses.monoskd.affinity": 1.0,
    "profiles.demo.student.epochs": 10,
    "profiles.demo.machine.workers": 0,
    "profiles.demo.machine.precision": "32",
    "profiles.kitti.student.epochs": 150,
}


def experiment(
    name: str, value: float | None, created: str = "2026-01-01", problem: str = "", **changes: Any
) -> Experiment:
    """One with the given result; parameters by dotted names, spelled with __ for the dots."""
    params = PARAMS | {key.replace("__", "."): changed for key, changed in changes.items()}
    metrics = {} if value is None else {"student": {"Car": {"3d_loose": value}, "Cyclist": {"3d_loose": value / 2}}}
    return Experiment(name, created, params, metrics, problem)


HEAD = experiment("main", 10.0)


def chosen(*experiments: Experiment, **settings: Any) -> list[tuple[str, int, float]]:
    cars = select_runs([HEAD, *experiments], **settings).runs.query("`class` == 'Car'")
    return sorted(cars[["value", "seed", "result"]].itertuples(index=False, name=None))


def left_out(*experiments: Experiment, **settings: Any) -> dict[str, str]:
    return dict(select_runs([HEAD, *experiments], **settings).left_out)


def test_losses_and_seeds_are_compared_in_every_class(capsys: pytest.CaptureFixture[str]) -> None:
    others = [
        experiment("a", 12.0, loss="monoskd"),
        experiment("b", 15.0, seed=1),
        experiment("c", 16.0, seed=1, loss="monoskd"),
    ]
    assert chosen(*others) == [("monoskd", 0, 12.0), ("monoskd", 1, 16.0), ("none", 0, 10.0), ("none", 1, 15.0)]
    selection = select_runs([HEAD, *others], control="none")
    assert list(selection.runs["class"].unique()) == ["Car", "Cyclist"]
    car, cyclist = (to_table(runs, "none", "loss") for _, runs in selection.runs.groupby("class"))
    show(car, "Car", markdown=True)
    assert capsys.readouterr().out == (
        "Car:\n\n"
        "| Loss | Seeds | 3D, IoU 0.5 mean ± std | 3D, IoU 0.5 minus none |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| none | 2 | 12.50 ± 3.54 | – |\n"
        "| monoskd | 2 | 14.00 ± 2.83 | +1.50 ± 0.71 (better on 2 of 2) |\n\n"
    )
    assert cyclist.columns[2] == "3D, IoU 0.25 mean ± std"
    data = json.loads(json.dumps(as_json(selection, "loss", "student"), allow_nan=False))
    assert [row["difference"] for row in data["classes"]["Car"]] == [None, 1.5]
    assert (data["control"], data["left_out"]) == ("none", [])
    assert {"metric", "value"} <= set(data["classes"]["Car"][0])


def test_a_student_is_compared_with_the_control_of_its_own_run() -> None:
    """Seeds alone, of which one has no control; another model is compared with the key's first value."""
    runs = [HEAD, experiment("a", 15.0, seed=1), experiment("b", 12.0, seed=2)]
    runs[:2] = [replace(e, metrics={**e.metrics, "control": {"Car": {"3d_loose": 9.0}}}) for e in runs[:2]]
    selection = select_runs(runs)
    (row,) = as_json(selection, "loss", "student")["classes"]["Car"]
    assert (selection.control, row["value"], row["mean"], row["difference"]) == ("control", "none", 37 / 3, 3.5)
    assert (row["paired_seeds"], row["wins"]) == ((0, 1), 2)
    assert select_runs(runs, model="control").control == "none"


def test_other_parameters_must_be_equal() -> None:
    reasons = left_out(
        experiment("longer", 1.0, seed=1, profiles__demo__student__epochs=20),
        experiment("heavier", 1.0, loss="monoskd", losses__monoskd__affinity=2.0),
        experiment("quirk", 1.0, quirks__rank_teacher_only=True),
        experiment("bf16", 1.0, seed=1, profiles__demo__machine__precision="bf16-mixed"),
    )
    assert reasons == {
        "longer": "profiles.demo.student.epochs is 20, not 10",
        "heavier": "losses.monoskd.affinity is 2.0, not 1.0",
        "quirk": "quirks.rank_teacher_only is True, not absent",
        "bf16": "profiles.demo.machine.precision is bf16-mixed, not 32",
    }


def test_parameters_that_a_run_does_not_use_may_differ() -> None:
    used = experiment(
        "a", 11.0, seed=1, launch="torchrun", losses__monoskd__affinity=5.0, profiles__kitti__student__epochs=1,
        profiles__demo__machine__workers=4, profiles__demo__machine__save_minutes=5,
        profiles__demo__student__evaluate_every=1,
    )  # fmt: skip
    assert chosen(used) == [("none", 0, 10.0), ("none", 1, 11.0)]
    mine = experiment("a", 11.0, loss="mine", losses__mine__affinity=3.0)  # a loss that the commit lacks
    assert chosen(mine) == [("mine", 0, 11.0), ("none", 0, 10.0)]


def test_by_another_parameter() -> None:
    others = [experiment("a", 12.0, profiles__demo__student__epochs=20), experiment("b", 12.0, loss="monoskd")]
    assert chosen(*others, by="profiles.demo.student.epochs") == [("10", 0, 10.0), ("20", 0, 12.0)]
    assert left_out(*others, by="profiles.demo.student.epochs") == {"b": "loss is monoskd, not none"}
    assert select_runs([HEAD, *others], by="profiles.demo.student.epochs").control == "control"
    for wrong in ("epochs", "seed"):
        with pytest.raises(DataError, match=f"--by: expected a parameter of params.yaml, seed apart, found '{wrong}'"):
            select_runs([HEAD], by=wrong)


def test_without_results_an_experiment_is_named() -> None:
    waiting, other = experiment("q", None, problem="queued", seed=1), experiment("t", 1.0, seed=2)
    assert left_out(waiting, other) == {"q": "queued"}
    older = Experiment("old", "", {k: v for k, v in PARAMS.items() if k != "loss"}, HEAD.metrics, "")
    assert left_out(older) == {"old": "no loss in params.yaml"}
    assert left_out(other, model="teacher")["t"].startswith("no figures of teacher in metrics/summary.json")


def test_the_newer_of_two_runs_counts_and_equal_ones_are_one() -> None:
    old, new = experiment("old", 11.0, "2026-01-02", seed=1), experiment("new", 12.0, "2026-01-03", seed=1)
    assert chosen(new, old) == [("none", 0, 10.0), ("none", 1, 12.0)]
    assert left_out(new, old) == {"old": "loss none, seed 1 again in new, which is newer"}
    assert left_out(new, experiment("workspace", 12.0, "", seed=1)) == {}


SCRIPT = """
import subprocess, sys
from dvc.cli import main

for line in sys.argv[1:]:
    program, *words = line.split()
    assert (main(words) if program == "dvc" else subprocess.run(line.split()).returncode) == 0, line
"""
COMMANDS = (
    "git init -q -b main", "git config user.name a", "git config user.email a@b.c", "dvc init -q",
    "dvc config core.analytics false", "dvc repro -q", "git add -A", "git commit -qm first",
    "dvc exp run -q -S loss=monoskd", "dvc exp run -q -S seed=7", "dvc exp run -q -S seed=0",
    "dvc exp run -q --queue -S seed=1",
)  # fmt: skip
STAGE = """
import json, yaml
params = yaml.safe_load(open("params.yaml"))
seed, gain = params["seed"], {"none": 0, "monoskd": 2}[params["loss"]]
result = None if seed == 7 else 10.0 + seed + gain
figures = {"student": {"Car": {"3d_loose": result}}, "control": {"Car": {"3d_loose": 10.0}}}
json.dump(figures, open("metrics/summary.json", "w"))
"""


def write_repository(folder: Path) -> None:
    (folder / "metrics").mkdir()
    (folder / "metrics/.gitkeep").write_text("")
    (folder / "stage.py").write_text(STAGE)
    (folder / "params.yaml").write_text(
        "profile: demo\nloss: none\nseed: 0\nlosses: {none: {affinity: 0.0}, monoskd: {affinity: 1.0}}\n"
        "profiles: {demo: {epochs: 2, weight_decay: 1.0e-5}}\n"  # DVC writes 1e-05, text to YAML 1.1
    )
    (folder / "dvc.yaml").write_text(
        f"stages:\n  report:\n    cmd: {sys.executable} stage.py\n    deps: [stage.py]\n"
        "    params: [loss, seed, 'losses.${loss}', profiles.demo]\n"
        "    metrics:\n      - metrics/summary.json:\n          cache: false\n"
    )


def test_a_real_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """HEAD, an experiment, one that finds nothing, a queued one, and a workspace that was edited afterwards."""
    write_repository(tmp_path)
    words = [sys.executable, "-c", SCRIPT, *COMMANDS]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("seed: 0", "seed: 5"))
    monkeypatch.chdir(tmp_path)
    summarize(markdown=True)
    output = capsys.readouterr()
    rows = "| none | 1 | 10.00 | +0.00 (better on 0 of 1) |\n| monoskd | 1 | 12.00 | +2.00 (better on 1 of 1) |"
    assert rows in output.out
    assert "3D, IoU 0.5 minus control" in output.out
    assert "left out: workspace: seed has changed since the last dvc repro" in output.err
    assert ": no figures of student in metrics/summary.json: absent, or every one is null" in output.err
    assert ": queued" in output.err


def test_without_a_repository_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dvc exp show: .*not inside of a DVC repository"):
        read_experiments(tmp_path)
