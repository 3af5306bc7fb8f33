"""Broken machines: a disk that is full or read-only, a user who may not read; and stages run inside the test."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from monokd.files import write_json
from monokd.models.checkpoint import DetectorInfo, save_detector
from monokd.models.detector import build_detector
from monokd.training.history import write_history

MODELS = ("teacher", "baseline", "control", "student")
ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder by name, left-overs included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    errors: str

    @property
    def line(self) -> str:
        """Its one line on stderr; progress bars do not count."""
        lines = [line for line in self.errors.splitlines() if not re.search(r" \d+/\d+ \d:\d\d:\d\d ", line)]
        assert len(lines) == 1, self.errors
        return lines[0]


def write_models(folder: Path) -> None:
    """Untrained networks with their histories, and what else the report reads beside their predictions."""
    torch.manual_seed(0)
    for name in MODELS:
        info = DetectorInfo(width=0.125, modality="depth" if name == "teacher" else "image", height_px=64, width_px=128)
        save_detector(build_detector(0.125), folder / f"data/models/{name}.safetensors", info)
        write_history(folder / f"metrics/{name}/history.csv", [{"epoch": 1.0, "total": 2.0}])
    write_json(folder / "metrics/depth.json", {"frames": 10})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs stages/NAME.py with arguments in a folder, in this process."""

    def run(folder: Path, name: str, *arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
        monkeypatch.setattr(sys, "argv", [f"stages/{name}.py", *arguments])
        capsys.readouterr()
        try:
            runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        return Ended(code, capsys.readouterr().err)

    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs `monokd …` in this process."""
    from monokd.cli import main

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["monokd", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        return Ended(code, capsys.readouterr().err)

    return run


@dataclass(frozen=True)
class SmallDisk:
    """A disk in memory."""

    folder: Path

    def resize(self, size: str, *, read_only: bool = False) -> None:
        """Change its size, or what may be done with it."""
        options = f"remount,size={size},{'ro' if read_only else 'rw'}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], SmallDisk]]:
    """Mounts a disk of a given size in memory; needs root."""
    mounted: list[Path] = []

    def mount(size: str) -> SmallDisk:
        folder = tmp_path / "disk"
        folder.mkdir()
        call = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        able = os.geteuid() == 0 and shutil.which("mount") is not None
        if not able or subprocess.run(call, check=False, capture_output=True).returncode:
            pytest.skip("needs the right to mount a small disk")
        mounted.append(folder)
        return SmallDisk(folder)

    yield mount
    os.chdir(ROOT)
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="monokd-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user whom file permissions bind; root they do not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
