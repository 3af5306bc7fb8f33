"""The first hour on a GPU, in miniature on a CPU: such machines are rare, so the script must work at once."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/gpu.py"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the script here, as `python benchmarks/gpu.py` does, and return its exit status."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(end.value.code or 0)


@pytest.mark.usefixtures("settings_restored")
def test_every_part_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ["tests", "agree", "steps", "kernels", "data"]
    arguments = ["--device", "cpu", "--small", "--out", str(tmp_path / "gpu"), "--parts", *parts]
    assert run(monkeypatch, *arguments) == 0
    report: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text())
    assert list(report["parts"]) == parts
    assert all(verdict["holds"] for part in report["parts"].values() for verdict in part["verdicts"])
    steps, phases = report["parts"]["steps"]["tables"].values()
    assert all(row["images a second"] > 0 for row in steps)
    assert {"student", "teacher", "distillation", "backward", "optimiser"} < phases[0].keys()
    assert report["parts"]["data"]["tables"]["loader"][0]["a second and core"] > 0
    page = (tmp_path / "gpu.md").read_text()
    assert page.count("- holds: ") >= len(parts)
    assert "mamba-ssm cannot run here" in page


@pytest.mark.usefixtures("settings_restored")
def test_the_stage_is_killed_and_continued_and_an_epoch_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--device", "cpu", "--small", "--out", str(tmp_path / "gpu"), "--parts", "stop", "epoch"]
    assert run(monkeypatch, *arguments) == 0
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    (rows,) = parts["stop"]["tables"].values()
    assert [row["went on"] for row in rows] == [False, True]
    assert len({row["sha256 of the weights"] for row in rows}) == 1
    (rows,) = parts["epoch"]["tables"].values()
    assert rows[0]["images a second"] > 0


@pytest.mark.usefixtures("settings_restored")
def test_a_part_that_breaks_is_a_verdict_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr("torch.optim.Adam.step", broken)
    arguments = ["--device", "cpu", "--small", "--out", str(tmp_path / "gpu"), "--parts", "steps", "data"]
    assert run(monkeypatch, *arguments) == 1
    page = (tmp_path / "gpu.md").read_text()
    assert "- **DOES NOT HOLD**: steps: RuntimeError: no kernel image is available" in page
    assert "- holds: the loader gives" in page


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_cuda_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert capsys.readouterr().out.count("\n") == 1
