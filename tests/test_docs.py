"""The pages name what is there, and every command on them runs in a test or says what it needs."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from monokd.cli import LazyCommands, app
from monokd.quirks import QUIRK_NAMES
from monokd.report.networks import NETWORKS
from tests.conftest import ROOT, write_detector, write_labels_as_results
from tests.report.fakes import LEVELS, ap_rows, write_ap

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NEED = re.compile(r"\s#\s.*\b(needs |minutes\b|days\b|once$)")
OWN_COMMAND = re.compile(r"`((?:monokd|dvc) [^`]*)`")


class Line(NamedTuple):
    """A command line of a ```sh block, without its comment."""

    page: str
    text: str
    marked: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return found


def command_lines() -> Iterator[Line]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                text = re.sub(r"\s+#\s.*", "", f" {line}").strip()
                if text:
                    yield Line(page.name, re.sub(r"\s+", " ", text), bool(NEED.search(f" {line}")))


LINES = list(command_lines())
TESTED_ELSEWHERE = "".join(path.read_text() for path in (ROOT / "tests/experiments").glob("test_*.py"))
RUN_HERE = [line for line in LINES if not (line.marked or line.text in TESTED_ELSEWHERE)]
CHECKED_BY_EVERY_CLONE = (". .venv/bin/activate", "make setup", "pip install 'monokd[onnx]'")


@pytest.fixture(scope="module")
def desk(tiny_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone after `make repro`, with little in it: frames, depth, networks, results, metrics; KITTI is there too."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "data").mkdir()
    for name in ("demo", "depth"):
        shutil.copytree(tiny_workspace / "data" / name, folder / "data" / name)
    training = folder / "data/demo/training"
    shutil.copytree(training, folder / "data/demo/testing")
    shutil.rmtree(folder / "data/demo/testing/label_2")
    for path in [*training.glob("*/000002.*"), folder / "data/depth/000002.png"]:
        shutil.copy(path, path.with_stem("000320"))  # a frame that pages name
    (folder / "examples").symlink_to(ROOT / "examples")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data/kitti").symlink_to(folder / "data/demo")
    for name in ("student", "baseline"):
        write_detector(folder / f"data/models/{name}.safetensors", biases={"heatmap.2.bias": 0.0})  # sure peaks
        write_labels_as_results(training / "label_2", folder / "data/predictions" / name, "Car")
    for name in NETWORKS:
        (folder / "metrics" / name).mkdir(parents=True)
        write_ap(folder / "metrics" / name / "ap.csv", ap_rows(np.random.default_rng(0), LEVELS[name]))
        (folder / "metrics" / name / "kitti.json").write_text('{"frames": 10, "rule": "le"}')
    return folder


@pytest.mark.parametrize("page", sorted({line.page for line in RUN_HERE}))
def test_commands_without_a_mark_run(page: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, but for those that the tests of experiments run."""
    monkeypatch.chdir(desk)
    for line in RUN_HERE:
        words = shlex.split(line.text)
        if line.page != page or line.text in CHECKED_BY_EVERY_CLONE:
            continue
        if words[0] == "monokd":
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        else:
            assert words[0] == "python", f"{line}: say what it needs (# needs …), or test it in tests/experiments"
            subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True, timeout=100)


def test_every_command_of_monokd_and_dvc_is_one_that_they_understand() -> None:
    """Marked ones and those within the text too: names, options and number of arguments."""
    inline = [Line(page.name, text, marked=True) for page in PAGES for text in OWN_COMMAND.findall(page.read_text())]
    for line in [*LINES, *inline]:
        for part in re.split(r"&&|;|\bdo\b|\|\s", line.text.replace("\\|", "|")):
            words = shlex.split(part.strip()) or [""]
            if words[0] == "monokd":
                understood_by_monokd(line, words[1:])
            elif words[0] == "dvc" and "…" not in part and len(words) > 1:
                understood_by_dvc(line, words[1:])


def understood_by_monokd(line: Line, words: list[str]) -> None:
    if not words or words[0] in ("…", "COMMAND"):
        return
    name, *rest = words
    group = typer.main.get_command(app)
    assert isinstance(group, LazyCommands)
    command = group.get_command(None, name)
    assert command is not None, f"{line}: there is no command {name}"
    try:
        if rest:
            command.make_context(name, list(rest))
    except typer.Exit:
        pass  # --help
    except Exception as error:
        error.add_note(str(line))
        raise


def understood_by_dvc(line: Line, words: list[str]) -> None:
    from dvc.cli.parser import get_main_parser
    from dvc.exceptions import DvcException

    if words == ["exp", "run"] or len(words) == 1:
        return
    errors = StringIO()
    try:
        with redirect_stderr(errors):
            get_main_parser().parse_args(words)
    except (SystemExit, DvcException) as error:
        raise AssertionError(f"{line}: {errors.getvalue()}") from error


def test_the_walk_through_of_a_new_loss_works(tmp_path: Path) -> None:
    """Its very blocks: the file, the test, the edits."""
    page = ROOT / "docs/add_a_loss.md"
    source, test = blocks(page, "python")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "src/monokd/distill/cosine.py").write_text(source)
    (tmp_path / "test_cosine.py").write_text(test)
    (edits,) = blocks(page, "diff")
    subprocess.run(["git", "apply", "-C1"], input=edits, text=True, cwd=tmp_path, check=True)
    options = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_cosine.py"], cwd=tmp_path, check=False, text=True,
        capture_output=True, timeout=300, env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_register_names_every_quirk_once_and_tests_that_exist() -> None:
    page = (ROOT / "docs/quirks.md").read_text()
    named = re.findall(r"^\| Q\d+ \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert sorted(named) == sorted(QUIRK_NAMES)
    for path in re.findall(r"\b\w+/test_\w+\.py", page):
        assert (ROOT / "tests" / path).is_file(), path


def test_links_and_scripts_that_pages_name_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for path in re.findall(r"`((?:stages|benchmarks|tests|src)/[\w/.]+\.py)", page.read_text()):
            assert (ROOT / path).is_file() or page.name == "add_a_loss.md", f"{page.name}: {path}"
