"""The one-liners of docs/experiments.md on the real pipeline's description, in a Git and DVC repository of their own.

Every stage is a stub that writes the outputs that dvc.yaml lists for it, made from the parameters.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.conftest import ROOT

KEPT = ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/plots.html", "data/.gitignore")
UP_TO_DATE = "Data and pipelines are up to date."
RERUN = {"distill", "predict@student", "evaluate@student", "report"}

STUB = """
import importlib.util
import json
import sys
from pathlib import Path

import yaml

assert Path(importlib.util.find_spec("monokd").origin).is_relative_to(Path.cwd()), "code of another folder"
item = sys.argv[-1]
stage = "depth_unlabelled" if item == "unlabelled" else Path(__file__).stem
params = yaml.safe_load(Path("params.yaml").read_text())
value = 100 * params["seed"] + sum(params["losses"][params["loss"]].values())
entry = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
for kind in ("outs", "metrics", "plots"):
    for out in entry.get("do", entry).get(kind, []):
        path = Path((out if isinstance(out, str) else next(iter(out))).replace("${item}", item))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(json.dumps({"value": value}))
        elif path.suffix == ".csv":
            x, y = (out[next(iter(out))].get(axis, axis) for axis in "xy")
            path.write_text(f"{x},{y}\\n1,{value}\\n2,{value / 2}\\n")
        elif path.suffix:
            path.write_text(f"{stage} {item} {value}")
        else:
            path.mkdir(exist_ok=True)
            (path / "000000.txt").write_text(f"{stage} {item} {value}")
"""


class Project(NamedTuple):
    """A folder in which commands are run as a user would."""

    folder: Path
    home: Path

    def run(self, command: str) -> str:
        """What a command line prints, both streams; nothing of the user's Git or DVC settings counts."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
        person = {f"GIT_{role}_{key}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "DVC_GLOBAL_CONFIG_DIR": str(self.home),
            "DVC_SYSTEM_CONFIG_DIR": str(self.home), "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "DVC_NO_ANALYTICS": "1",
        }  # fmt: skip
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=inherited | person | own, text=True, check=False, timeout=1800,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '(.*?)'", output))


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline with stub stages, reproduced and committed."""
    project = Project(tmp_path_factory.mktemp("reproduced"), tmp_path_factory.mktemp("home"))
    folder = project.folder
    for name in KEPT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    for entry in stages.values():
        for dependency in entry.get("do", entry)["deps"]:
            if dependency.startswith(("stages/", "src/")):
                path = folder / dependency if dependency.endswith(".py") else folder / dependency / "__init__.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(STUB if dependency.startswith("stages/") else "")
    (folder / "src/monokd/__init__.py").touch()
    project.run("git init --quiet --initial-branch=main && git add .")
    project.run("git commit --quiet -m Code && dvc repro --quiet && git add . && git commit --quiet -m Results")
    return project


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    """A copy of one reproduced pipeline of stubs."""
    shutil.copytree(reproduced.folder, tmp_path / "project", symlinks=True)
    return reproduced._replace(folder=tmp_path / "project")


def test_another_weight_retrains_the_student_alone_and_is_kept_as_a_branch(project: Project) -> None:
    output = project.run("dvc exp run --name stronger -S losses.monoskd.head=3")
    assert stages_run(output) == RERUN
    project.run("git checkout --quiet . && dvc checkout --quiet && dvc exp branch stronger stronger-head")
    assert "head: 3" in project.run("git show stronger-head:params.yaml")


def test_another_loss_retrains_the_student_alone_and_a_run_of_before_is_not_computed_again(project: Project) -> None:
    assert stages_run(project.run("dvc exp run -S loss=none")) == RERUN
    assert "distill" not in stages_run(project.run("dvc exp run -S loss=monoskd"))
    project.run("git checkout params.yaml")


def test_commits_are_compared_without_a_network(project: Project) -> None:
    project.run("dvc exp run -S losses.monoskd.affinity=2")
    project.run("git commit --quiet -am 'Affinity 2'")
    assert "affinity" in project.run("dvc params diff HEAD~1")
    changed = project.run("dvc metrics diff HEAD~1 --targets metrics/summary.json --json")
    assert json.loads(changed) == {"metrics/summary.json": {"value": {"old": 3.0, "new": 4.0, "diff": 1.0}}}
    project.run("dvc plots diff HEAD~1 --targets metrics/student/history.csv")
    page = (project.folder / "dvc_plots/index.html").read_text()
    assert '"rev": "HEAD~1"' in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


def test_a_sweep_runs_in_the_queue_and_a_linked_kitti_too_once_git_knows_the_link(project: Project) -> None:
    (project.folder.parent / "kitti/training").mkdir(parents=True)
    (project.folder.parent / "kitti/training/000000.txt").touch()
    project.run("ln -s $PWD/../kitti data/kitti && dvc exp run --queue --name unknown -S profile=kitti depth")
    project.run("git add --force data/kitti && git commit --quiet -m 'Where KITTI lies here'")
    project.run("dvc exp run --queue --name known -S profile=kitti depth")
    project.run("dvc exp run --queue -S seed=0,1")
    project.run("dvc queue start")
    states = wait_for_the_queue(project)
    assert states.count("Success") == 3, project.run("dvc queue logs known")
    assert states.count("Failed") == 1
    assert "data/kitti" in project.run("dvc queue logs unknown")
    project.run(r"dvc exp show --only-changed --drop '(strict|loose)\..*|.*_m|.*/.*|Created'")
    table = json.loads(project.run("dvc exp show --json"))
    seeds = [row["data"]["params"]["params.yaml"]["data"]["seed"] for row in finished(table) if row["name"] != "known"]
    assert sorted(seeds) == [0, 1]


def finished(table: list[dict]) -> list[dict]:
    rows = [row for commit in table for experiment in commit["experiments"] or [] for row in experiment["revs"]]
    return [row for row in rows if row["data"] and not row.get("error")]


def wait_for_the_queue(project: Project) -> list[str]:
    """The states of all tasks, once none waits and the worker is gone."""
    for _ in range(120):
        status = project.run("dvc queue status")
        states = re.findall(r"\b(Queued|Running|Success|Failed)$", status, flags=re.MULTILINE)
        if not {"Queued", "Running"} & set(states) and "0 active, 0 idle" in status:
            return states
        time.sleep(0.5)
    raise AssertionError(status)


def test_what_one_pushes_another_pulls_and_nothing_is_computed_again(project: Project, tmp_path: Path) -> None:
    """The results of a commit, and an experiment that no commit holds."""
    project.run("git init --quiet --bare ../server && git remote add origin ../server")
    project.run("dvc remote add --default store ../store")
    project.run("git commit --quiet -am 'Where artefacts lie' && git push --quiet origin main")
    project.run("dvc push")
    project.run("dvc exp run --name stronger -S losses.monoskd.head=3")
    project.run("dvc exp push origin stronger")
    project.run("git checkout --quiet . && dvc checkout --quiet")
    Project(tmp_path, project.home).run("git clone --quiet --branch main server theirs")
    theirs = Project(tmp_path / "theirs", project.home)
    assert not (theirs.folder / "data/models").exists()
    theirs.run("dvc pull")
    for name in ("data/models/student.safetensors", "data/predictions/student/000000.txt"):
        assert (theirs.folder / name).read_bytes() == (project.folder / name).read_bytes()
    assert UP_TO_DATE in theirs.run("dvc repro")
    theirs.run("dvc exp pull origin stronger")
    theirs.run("dvc exp apply stronger")
    assert "head: 3" in theirs.run("cat params.yaml")
    assert UP_TO_DATE in theirs.run("dvc repro")
