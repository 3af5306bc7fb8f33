"""The pipeline's description: every stage depends on the code it reaches, and on nothing that it does not."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(path: Path) -> set[str]:
    """Modules of this project that a file imports, wherever the statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "monokd"}


def file_of(module: str) -> Path | None:
    base = SOURCE / Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def reached(script: Path) -> set[str]:
    """Sub-packages of monokd that a script reaches, directly or not."""
    waiting, seen = [script], {script}
    while waiting:
        for module in imported(waiting.pop()):
            path = file_of(module)
            if path is not None and path not in seen:
                seen.add(path)
                waiting.append(path)
    package = SOURCE / "monokd"
    return {p.relative_to(package).parts[0] for p in seen if package in p.parents and p.parent != package}


def body(stage: str) -> dict[str, list[str]]:
    entry = PIPELINE[stage]
    result: dict[str, list[str]] = entry.get("do", entry)
    return result


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_lists_the_packages_it_reaches(stage: str) -> None:
    script = next(dep for dep in body(stage)["deps"] if dep.startswith("stages/"))
    assert script in str(body(stage)["cmd"])
    listed = {dep.removeprefix("src/monokd/") for dep in body(stage)["deps"] if dep.startswith("src/monokd/")}
    assert listed == reached(ROOT / script)


def test_every_script_is_a_stage() -> None:
    used = {dep for stage in PIPELINE for dep in body(stage)["deps"] if dep.startswith("stages/")}
    assert used == {f"stages/{path.name}" for path in (ROOT / "stages").glob("*.py")}


def test_imports_point_down() -> None:
    """Lower packages do not know higher ones; predict alone reaches up, for its pictures."""
    low = ["kitti", "scenes", "depth", "evaluation", "samples", "models"]
    order = [*low, "losses", "distill", "training", "inference", "report"]
    rank = {name: position for position, name in enumerate(order)}
    for path in (SOURCE / "monokd").rglob("*.py"):
        own = path.relative_to(SOURCE / "monokd").parts[0]
        for module in imported(path):
            other = module.split(".")[1] if "." in module else ""
            if own in rank and other in rank and not (own == "inference" and other == "report"):
                assert rank[other] <= rank[own], f"{path.name} of {own} imports {module}"


def test_evaluation_and_labels_work_without_torch() -> None:
    assert not {"samples", "models", "losses", "distill", "training"} & reached(SOURCE / "monokd/evaluation/command.py")
