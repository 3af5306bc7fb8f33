"""Two processes that torchrun starts give the losses and gradients of one; the benchmark shows more methods."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("behaviour", ["corrected", "published"])
def test_two_processes_train_as_one(tiny_workspace: Path, behaviour: str) -> None:
    """Batch normalisation or chunks, detection and distillation terms, a process without objects, in float64."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/processes.py"), "--steps", "2", "--methods", "monodistill",
         "--behaviours", behaviour, "--data", str(tiny_workspace / "data")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
