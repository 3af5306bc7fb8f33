"""The table of faults names tests that exist, and every test of faults."""

import ast
import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs/faults.md").read_text()


def defined_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


def test_the_page_names_tests_that_exist_and_all_of_faults() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE))
    assert len(named) > 30
    assert all(name in defined_in(path) for path, name in named)
    files = [f"faults/{path.name}" for path in (ROOT / "tests/faults").glob("test_*.py") if path.name != "test_page.py"]
    assert {(path, name) for path in files for name in defined_in(path)} <= named


def test_every_row_of_the_page_names_a_test() -> None:
    ours = PAGE.partition("## Wrong input")[0] + PAGE.partition("## Security")[2]  # fuzzing has rows of readers
    rows = [line for line in ours.splitlines() if line.startswith("| ")]
    facts = [row for row in rows if not row.startswith(("| ---", "| fault |", "| danger |", "| situation |"))]
    assert len(facts) > 25
    assert all("::test_" in row for row in facts)
