"""The pages name what is there."""

import re
from pathlib import Path

from monokd.params import QUIRK_NAMES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_register_names_every_quirk_once_and_tests_that_exist() -> None:
    page = (ROOT / "docs/quirks.md").read_text()
    named = re.findall(r"^\| Q\d+ \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert sorted(named) == sorted(QUIRK_NAMES)
    for path in re.findall(r"\b\w+/test_\w+\.py", page):
        assert (ROOT / "tests" / path).is_file(), path


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_scripts_that_pages_name_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:stages|benchmarks|tests|src)/[\w/.]+\.py)", page.read_text()):
            assert (ROOT / path).is_file(), f"{page.name}: {path}"
