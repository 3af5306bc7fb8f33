"""The benchmark for GPU machines, in miniature on a CPU: such machines are rare, so the script must work at once."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/gpu.py"


@pytest.mark.usefixtures("settings_restored")
def test_every_table_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--quick", "--methods", "none", "monoasd", "--batches", "2", "--modes", "float32"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments, "--out", str(out)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = json.loads(out.read_text())
    assert [row["method"] for row in found["steps"]] == ["none", "monoasd"]
    for row in found["steps"]:
        assert row["images_per_s"] > 0
        assert row["peak_mib"] > 0
        assert {"student forward", "backward", "optimiser"} < row["phases_ms"].keys()
    assert {name.split()[0] for name in found["steps"][1]["terms_ms"]} == {"affinity", "head", "align_select"}
    assert found["data"][0]["images_per_s"] > 0
    assert {"ms", "mib"} == found["rank_loss"].keys()
    assert all(row["error"] < 1e-4 for row in found["scan"]["speed"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_cuda_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert capsys.readouterr().out.count("\n") == 1
