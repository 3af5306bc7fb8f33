"""One reproduced pipeline of stubs with one experiment for the session, a copy of it for each test."""

from pathlib import Path

import pytest

from tests.experiments.project import Project, make_project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "project").mkdir()
    return make_project(folder / "project", folder / "home")


@pytest.fixture(scope="session")
def experimented(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """After an experiment that no commit holds, the results of the commit in the folder; and what its run printed."""
    project = reproduced.copy(tmp_path_factory.mktemp("experimented") / "project")
    output = project.run("dvc exp run --name stronger -S losses.monoskd.head=3")
    project.run("git checkout --quiet . && dvc checkout --quiet")
    return project, output


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    return reproduced.copy(tmp_path / "project")


@pytest.fixture
def with_experiment(experimented: tuple[Project, str], tmp_path: Path) -> Project:
    return experimented[0].copy(tmp_path / "project")
