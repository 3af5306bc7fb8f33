"""The command line: help without heavy imports, one line and status 2 for wrong input."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("check", "densify", "evaluate", "predict", "export", "submit", "summarize", "import")


def monokd(*arguments: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "monokd.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=300)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = monokd(command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_help_and_evaluation_do_not_import_torch() -> None:
    code = (
        "import sys, monokd.cli, monokd.commands.evaluate, monokd.evaluation.table;"
        "sys.exit('torch' in sys.modules or 'dvc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "absent"), "absent"),
        (("densify", "absent", "out"), "absent"),
        (("evaluate", "absent", "absent"), "absent"),
        (("predict", "absent.safetensors", "images", "calib", "out"), "absent.safetensors"),
        (("export", "absent.safetensors", "out.onnx"), "absent.safetensors"),
        (("submit", "absent.safetensors", "root", "out.zip"), "absent.safetensors"),
        (("import", "absent.pth", "out"), "absent.pth"),
    ],
)
def test_a_missing_input_is_named_in_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = monokd(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("monokd: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_frames_go_from_scan_to_depth_and_pass_the_check(tiny_workspace: Path, tmp_path: Path) -> None:
    root = tiny_workspace / "data/demo"
    assert monokd("check", root).returncode == 0
    done = monokd("densify", root, tmp_path / "depth", "--workers", "1")
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "depth").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tiny_workspace / "data/depth").iterdir()}


def test_ground_truth_against_itself_is_perfect_up_to_the_rule_for_few_objects(
    tiny_workspace: Path, tmp_path: Path
) -> None:
    labels = tiny_workspace / "data/demo/training/label_2"
    for path in labels.iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("DontCare")]
        (tmp_path / path.name).write_text("".join(f"{line} 0.9\n" for line in lines))
    done = monokd("evaluate", labels, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Car" in done.stdout
