"""The command line: help without heavy imports, a light install, one line and status 2 for wrong input."""

import subprocess
import sys
from pathlib import Path

import pytest
from docs.make_commands import PAGE, page
from typer.testing import CliRunner

from monokd.cli import COMMANDS, app, summary
from tests.conftest import write_labels_as_results

# What `pip install .` without an extra does not bring.
HEAVY = ("torch", "torchsort", "dvc", "safetensors", "lightning_fabric", "yaml", "pandas", "matplotlib", "jinja2")


def without(
    packages: tuple[str, ...], *arguments: str | Path, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """The command in a process in which `packages` cannot be imported."""
    code = f"import sys; sys.modules |= dict.fromkeys({packages!r}); from monokd.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=300)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_as_the_list_does(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert "Usage: " in done.stdout
    assert "Raises" not in done.stdout
    assert " ".join(summary(COMMANDS[name]).split()) in " ".join(done.stdout.split())


def test_the_list_of_commands_imports_none_of_them() -> None:
    done = without(("numpy", "cv2", "numba", *HEAVY), "--help")
    assert done.returncode == 0, done.stderr
    assert "  predict    Detect objects in images; KITTI text out." in done.stdout


def test_a_mistyped_command_is_met_with_a_suggestion() -> None:
    done = CliRunner().invoke(app, ["evalute", "a", "b"])
    assert done.exit_code == 2
    assert "Did you mean 'evaluate'?" in done.stderr


def test_the_page_of_commands_is_current() -> None:
    """`python docs/make_commands.py` writes it."""
    assert page() == PAGE.read_text()


def test_the_light_commands_run_in_a_light_install(tiny_workspace: Path, tmp_path: Path) -> None:
    """And `evaluate --json` starts in a moment: without OpenCV and rich too."""
    root, frame_png = tiny_workspace / "data/demo", tmp_path / "frame.png"
    labels = root / "training/label_2"
    results = write_labels_as_results(labels, tmp_path / "results")
    for packages, *arguments in (
        ((*HEAVY, "cv2", "rich"), "evaluate", labels, results, "--json"),
        (HEAVY, "check", root),
        (HEAVY, "densify", root, tmp_path / "depth", "--workers", "1"),
        (HEAVY, "show", root, "000000", results, "--out", frame_png),
        (HEAVY, "unpack", "--help"),
    ):
        done = without(packages, *arguments)
        assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "depth").iterdir()}
    folders = (tiny_workspace / "data" / name for name in ("depth", "depth_unlabelled"))
    assert made == {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}


@pytest.mark.parametrize(("name", "package"), [("predict", "torch"), ("export", "torch"), ("summarize", "pandas")])
def test_a_command_that_needs_more_names_the_extra_in_one_line(name: str, package: str) -> None:
    done = without((package,), name, "a", "b", "c", "d")
    assert done.returncode == 2
    hint = "install the extra 'pipeline', in a clone by: pip install '.[pipeline]'"
    assert done.stderr == f"monokd: {name} needs {package}: {hint}\n"


MISSING = (
    "check absent", "densify absent out", "evaluate absent absent", "import absent.pth out",
    "predict absent.safetensors images calib out", "export absent.safetensors out.onnx",
    "submit absent.safetensors root out.zip",
)  # fmt: skip


@pytest.mark.parametrize("command", MISSING)
def test_a_missing_input_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    done = without((), *command.split(), cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(f"monokd: {command.split()[1]}")
    assert not list(tmp_path.iterdir())
