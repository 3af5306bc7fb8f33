"""Artefacts in a remote: pushed from one clone, pulled in another, and nothing is computed again."""

from pathlib import Path

from tests.experiments.project import UP_TO_DATE, Project


def test_what_one_pushes_another_pulls_and_nothing_is_computed_again(project: Project, tmp_path: Path) -> None:
    """The results of a commit, and an experiment that no commit holds."""
    remote = f"dvc remote add --default store {tmp_path / 'store'}"
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
