"""What a wheel holds, where the version stands, and that generated pages are current."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import yaml
from docs import make_house

from monokd import __version__
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=skipped)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check", "--wheel-dir", "dist"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "."], cwd=tmp_path, check=True, timeout=300)
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name.startswith(f"monokd-{__version__}-py3")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("monokd/")}
        assert any(name.endswith("/LICENSE") for name in archive.namelist())
    source = tmp_path / "src"
    assert held == {str(p.relative_to(source)) for p in (source / "monokd").rglob("*") if p.is_file()}


def test_the_light_requirements_bring_no_framework() -> None:
    light = {requirement.partition(">")[0] for requirement in PROJECT["dependencies"]}
    assert not light & {"torch", "dvc", "pandas", "pydantic", "torchsort"}


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_map_of_the_house_is_current() -> None:
    """`python docs/make_house.py` writes it; it fails where packages import each other."""
    assert make_house.page() == make_house.PAGE.read_text()
