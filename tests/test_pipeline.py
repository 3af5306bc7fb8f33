"""The pipeline's description: every stage depends on the code it reaches, and on nothing that it does not."""

import ast
from pathlib import Path

import pytest
import yaml

from monokd.training.state import stage_code
from tests.conftest import ROOT

SOURCE = ROOT / "src"
PACKAGE = SOURCE / "monokd"
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
DECIDES_NOTHING = {"errors.py", "files.py", "progress.py", "typing.py", "__init__.py"}
"""Modules that stages reach and do not list: an edit of theirs changes messages and bars, but no result."""


def imported(path: Path) -> set[str]:
    """Modules of this project that a file imports, wherever the statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "monokd"}


def reached(script: Path) -> set[str]:
    """Sub-packages and top-level modules of monokd that a script reaches, directly or not."""
    waiting, seen = [script], {script}
    while waiting:
        bases = [SOURCE / module.replace(".", "/") for module in imported(waiting.pop())]
        files = {path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()}
        waiting += files - seen
        seen |= files
    return {p.relative_to(PACKAGE).parts[0] for p in seen if PACKAGE in p.parents} - DECIDES_NOTHING


DEPS: dict[str, list[str]] = {name: entry.get("do", entry)["deps"] for name, entry in PIPELINE.items()}


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_lists_the_code_it_reaches(stage: str) -> None:
    script = next(dep for dep in DEPS[stage] if dep.startswith("stages/"))
    assert script in str(PIPELINE[stage])
    listed = {dep.removeprefix("src/monokd/") for dep in DEPS[stage] if dep.startswith("src/monokd/")}
    assert listed == reached(ROOT / script)


@pytest.mark.parametrize("stage", ["teacher", "baseline", "control", "distill"])
def test_a_saved_state_belongs_to_the_code_that_the_stage_lists(stage: str) -> None:
    listed = [ROOT / dep for dep in DEPS[stage] if dep.startswith(("src/", "stages/"))]
    wanted = {path for dep in listed for path in (dep.rglob("*.py") if dep.is_dir() else [dep])}
    assert set(stage_code(stage)) == wanted


def test_no_stage_reaches_a_command_and_only_the_student_reaches_distillation() -> None:
    reaching = {name: reached(path) for path in (ROOT / "stages").glob("*.py") for name in [path.stem]}
    assert not any("commands" in packages for packages in reaching.values())
    assert {name for name, packages in reaching.items() if "distill" in packages} == {"distill"}
