"""What the page compares with: the same answer before the results are committed, after, and in a clone."""

import json
import shutil
from pathlib import Path

import pytest

from monokd.report.previous import Previous, find_previous
from tests.report.fakes import git

PARAMS = """profile: {profile}
loss: {loss}
losses: {{a: {{x: 1}}, b: {{x: 2}}, c: {{x: {loss}}}}}
profiles: {{demo: {{n: {{m: [1]}}}}, kitti: {{n: {loss}}}}}
"""
FILES = {"student": Path("metrics/student/kitti.json")}

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git on PATH")


def state(value: float, loss: str = "a", profile: str = "demo") -> None:
    """Results and parameters in the working folder."""
    FILES["student"].parent.mkdir(parents=True, exist_ok=True)
    FILES["student"].write_text(json.dumps({"loose": value}))
    Path("params.yaml").write_text(PARAMS.format(loss=loss, profile=profile))


def commit(message: str) -> None:
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    return tmp_path


def previous(**more: Path) -> Previous:
    found = find_previous(FILES | more, Path("params.yaml"))
    assert found is not None
    return found


def found() -> tuple[str, float]:
    """Subject and figure of what is compared with."""
    return previous().subject, previous().metrics["student"]["loose"]


def test_results_compare_with_head_before_their_commit_and_with_the_same_after(repository: Path) -> None:
    """Commits that leave the results as they are do not count, nor do settings of other profiles and losses."""
    state(1.0)
    commit("first")
    assert find_previous(FILES, Path("params.yaml")) is None
    state(2.0, loss="b")
    assert found() == ("first", 1.0)
    commit("second")
    Path("README.md").write_text("words")
    commit("words")
    assert found() == ("first", 1.0)
    assert previous().settings == (("loss", "a", "b"), ("weights.x", 1, 2))
    assert len(previous().commit) == 8


def test_results_of_another_profile_or_broken_ones_do_not_compare(repository: Path) -> None:
    """Other data: the last results of the same profile count, however far back."""
    state(1.0)
    commit("demo")
    state(5.0, profile="kitti")
    commit("kitti")
    FILES["student"].write_text("{")
    commit("broken")
    state(2.0)
    assert found() == ("demo", 1.0)
    state(6.0, profile="kitti")
    assert found() == ("kitti", 5.0)


def test_a_network_that_an_earlier_commit_lacks_does_not_hide_it(repository: Path) -> None:
    state(1.0)
    commit("without control")
    state(2.0)
    Path("metrics/control.json").write_text("{}")
    assert list(previous(control=Path("metrics/control.json")).metrics) == ["student"]


@pytest.mark.parametrize("name", ["GIT_CEILING_DIRECTORIES", "PATH"])
def test_without_a_repository_or_git_nothing_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, str(tmp_path.parent))
    state(1.0)
    assert find_previous(FILES, Path("params.yaml")) is None
