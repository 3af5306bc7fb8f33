"""Broken machines: a disk that is full, a user who may not read; and programs run inside the test."""

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

from monokd.files import write_json
from monokd.training.history import write_history
from tests.conftest import ROOT, write_detector

MODELS = ("teacher", "baseline", "control", "student")
NOBODY = 65534


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
    for seed, name in enumerate(MODELS):
        modality = "depth" if name == "teacher" else "image"
        write_detector(folder / f"data/models/{name}.safetensors", seed, modality=modality)
        write_history(folder / f"metrics/{name}/history.csv", [{"epoch": 1.0, "total": 2.0}])
    write_json(folder / "metrics/depth.json", {"frames": 10})


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a program with its arguments in this process."""

    def run(program: Callable[[], object], *arguments: str) -> Ended:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
        monkeypatch.setattr(sys, "argv", list(arguments))
        capsys.readouterr()
        try:
            program()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Ended(code, capsys.readouterr().err)

    return run


@pytest.fixture
def stage(ended: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs stages/NAME.py with arguments in a folder."""

    def run(folder: Path, name: str, *arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        path = ROOT / "stages" / f"{name}.py"
        return ended(lambda: runpy.run_path(str(path), run_name="__main__"), path.name, *arguments)

    return run


@pytest.fixture
def command(ended: Callable[..., Ended]) -> Callable[..., Ended]:
    """Runs `monokd …`."""
    from monokd.cli import main

    return lambda *arguments: ended(main, "monokd", *map(str, arguments))


def resize(disk: Path, size: str) -> None:
    """Change the size of a disk in memory."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a given size in memory; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        call = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        able = os.geteuid() == 0 and shutil.which("mount") is not None
        if not able or subprocess.run(call, check=False, capture_output=True).returncode:
            pytest.skip("needs the right to mount a small disk")
        return folder

    yield mount
    os.chdir(ROOT)
    if os.path.ismount(folder):
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
