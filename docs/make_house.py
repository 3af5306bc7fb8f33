"""Write docs/house.md, the map of the packages, from their imports. Usage: python docs/make_house.py"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PAGE = Path(__file__).parent / "house.md"
SOURCE = Path(__file__).resolve().parents[1] / "src/monokd"
INTRODUCTION = """\
# The house

Made from the code by `python docs/make_house.py`: the packages of `src/monokd`, each after all that it imports. So
no two import each other, directly or not. The stages of the pipeline (`stages/`) and the command line stand on top.
"""
SINGLE_FILES = """\

Beside the packages stand single files that any of them may import:
"""


def page() -> str:
    """The whole page."""
    modules = sorted(SOURCE.rglob("*.py"))
    packages = sorted({path.parent.relative_to(SOURCE).parts[0] for path in modules if path.parent != SOURCE})
    imports = {name: imported(name) & set(packages) - {name} for name in packages}
    lines = ["| package | what it holds | imports |", "| --- | --- | --- |"]
    for name in in_order(imports):
        known = ", ".join(other for other in in_order(imports) if other in imports[name])
        lines.append(f"| `{name}` | {summary(SOURCE / name / '__init__.py')} | {known} |")
    singles = [path for path in modules if path.parent == SOURCE and path.name not in ("__init__.py", "cli.py")]
    lines += [SINGLE_FILES, "| file | what it holds |", "| --- | --- |"]
    lines += [f"| `{path.name}` | {summary(path)} |" for path in singles]
    return "\n".join([INTRODUCTION, *lines]) + "\n"


def imported(package: str) -> set[str]:
    """Packages that the files of a package import, wherever the statement stands."""
    found = set()
    for path in (SOURCE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("monokd."):
                found.add(str(node.module).split(".")[1])
    return found


def in_order(imports: dict[str, set[str]]) -> list[str]:
    """Packages, each after all that it imports, by name where that leaves a choice.

    Raises:
        graphlib.CycleError: packages import each other.
    """
    sorter, order = TopologicalSorter(imports), []
    sorter.prepare()
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def summary(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
