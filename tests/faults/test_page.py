"""The table of faults names tests that exist."""

import ast
import re

from tests.faults.conftest import ROOT


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) > 30
    for path, name in named:
        tree = ast.parse((ROOT / "tests" / path).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_every_row_of_the_page_names_a_test() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    ours = page.partition("## Wrong input")[0] + page.partition("## Security")[2]  # fuzzing has rows of readers
    rows = [line for line in ours.splitlines() if line.startswith("| ")]
    facts = [row for row in rows if not row.startswith(("| ---", "| fault |", "| danger |", "| situation |"))]
    assert len(facts) > 25
    assert all("::test_" in row for row in facts)


def test_every_test_of_faults_stands_on_the_page() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    for path in sorted((ROOT / "tests/faults").glob("test_*.py")):
        if path.name == "test_page.py":
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert f"{path.name}::{node.name}`" in page, node.name
