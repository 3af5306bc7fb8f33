"""The one-liners of docs/experiments.md on the real pipeline's description."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.project import UP_TO_DATE, Project, make_project
from tests.experiments.s3 import local_s3

RERUN = {"distill", "predict@student", "evaluate@student", "report"}


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '(.*?)'", output))


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "project").mkdir()
    return make_project(folder / "project", folder / "home")


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    """A copy of one reproduced pipeline of stubs."""
    return reproduced.copy(tmp_path / "project")


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


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with local_s3("monokd") as address:
        yield address


@pytest.fixture(params=["folder", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The command that sets a remote up."""
    if request.param == "folder":
        return f"dvc remote add --default store {tmp_path / 'store'}"
    address = request.getfixturevalue("s3")
    return (
        f"dvc remote add --default store s3://monokd/experiments && dvc remote modify store endpointurl {address}"
        " && dvc remote modify store region us-east-1"
    )


def test_what_one_pushes_another_pulls_and_nothing_is_computed_again(
    project: Project, remote: str, tmp_path: Path
) -> None:
    """The results of a commit, and an experiment that no commit holds."""
    project.run(f"git init --quiet --bare ../server && git remote add origin ../server && {remote}")
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
