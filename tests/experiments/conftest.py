"""One reproduced pipeline of stubs for the session, a copy of it for each test."""

from pathlib import Path

import pytest

from tests.experiments.project import Project, make_project


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "project").mkdir()
    return make_project(folder / "project", folder / "home")


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    return reproduced.copy(tmp_path / "project")
