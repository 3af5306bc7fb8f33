"""The commands of docs/deploy.md, run as they stand there, on small frames and an untrained model."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from monokd.cli import app
from monokd.kitti.labels import read_results
from tests.conftest import ROOT, write_detector

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
ELSEWHERE = ("pip",)  # needs a network


def commands() -> list[list[str]]:
    """The lines of the page's shell blocks, without comments."""
    page = (ROOT / "docs/deploy.md").read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] not in ELSEWHERE]


@pytest.fixture
def demo(tiny_workspace: Path, tmp_path: Path) -> Path:
    """A working folder with the files that the page names."""
    training = tiny_workspace / "data/demo/training"
    for half in ("demo/training", "kitti/testing"):
        for name, suffix in (("image_2", "png"), ("calib", "txt")):
            (tmp_path / "data" / half / name).mkdir(parents=True)
            number = "000320" if half == "demo/training" else "000000"
            source = training / name / f"000002.{suffix}"
            shutil.copy(source, tmp_path / "data" / half / name / f"{number}.{suffix}")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    model, peaks_above_the_threshold = tmp_path / "data/models/student.safetensors", {"heatmap.2.bias": 0.0}
    write_detector(model, biases=peaks_above_the_threshold, anisotropic_decode=False)
    return tmp_path


def test_every_command_of_the_page(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo)
    for words in commands():
        capsys.readouterr()
        if words[0] == "monokd":
            app(words[1:], standalone_mode=False)
        else:
            monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
            text = capsys.readouterr().out
            assert text
            assert len(text.splitlines()) == len(read_results(demo / "out/000320.txt"))
    assert (demo / "out/pictures/000320.png").is_file()
    assert (demo / "student.onnx").is_file()
    assert (demo / "student.zip").is_file()
    assert {words[1] for words in commands() if words[0] == "monokd"} == {"predict", "export", "submit"}
