"""Artefacts in a remote: pushed from one clone, pulled in another, and nothing is computed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.week import local_s3

from tests.experiments.project import UP_TO_DATE, Project


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


def test_what_one_pushes_another_pulls_and_repro_has_nothing_to_do(
    project: Project, remote: str, tmp_path: Path
) -> None:
    project.run(remote)
    project.run("git commit --quiet -am 'Where artefacts lie'")
    project.run("dvc push --run-cache")
    theirs = project.clone(tmp_path / "theirs")
    assert not (theirs.folder / "data/models").exists()
    theirs.run("dvc pull --run-cache")
    assert UP_TO_DATE in theirs.run("dvc repro")
    for name in ("data/models/student.safetensors", "data/predictions/student/000000.txt"):
        assert (theirs.folder / name).read_bytes() == (project.folder / name).read_bytes()


def test_the_run_cache_restores_experiments_that_no_commit_holds(project: Project, remote: str, tmp_path: Path) -> None:
    project.run(remote)
    project.run("git commit --quiet -am 'Where artefacts lie'")
    project.run("dvc exp run -S loss=none")
    project.run("dvc push --run-cache")
    theirs = project.clone(tmp_path / "theirs")
    theirs.run("dvc pull --run-cache")
    output = theirs.run("dvc exp run -S loss=none")
    assert "Stage 'distill' is cached" in output
    assert "Running stage 'distill'" not in output
