"""DVC around the stages: a damaged cache, two runs at once, edited outputs, a kill: nothing is lost or believed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import ROOT, tree

# The pipeline's own first stage over the project's own code, with a few small frames.
SCENES = {"train_frames": 4, "val_frames": 2, "width_px": 160, "height_px": 64, "objects_per_frame": 2.0}
IMAGE = "demo/training/image_2/000001.png"


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    settings = {
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def dvc(folder: Path, *arguments: str, code: int = 0) -> str:
    process = start(folder, *arguments)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == code, output
    return output


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def made(folder: Path) -> dict[str, bytes]:
    return tree(folder / "data")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A repository after its first run, during which a second one was tried; and what the run made."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("src", "stages"):
        (folder / name).symlink_to(ROOT / name)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"scenes": pipeline["stages"]["scenes"]}}))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["profiles"]["demo"]["scenes"] |= SCENES
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(
        (ROOT / ".dvc/config").read_text().replace("[core]", "[core]\n    no_scm = true")
    )
    first = start(folder, "repro")
    wait_for(folder, "data/demo/training", first)
    os.killpg(first.pid, signal.SIGSTOP)  # until the second one has tried
    try:
        refused = dvc(folder, "repro", code=255)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert "lock" in refused
    output = first.communicate(timeout=300)[0]
    assert first.returncode == 0, output
    return folder, made(folder)


def test_a_second_run_at_once_is_refused_and_the_first_one_whole(repository: tuple[Path, dict[str, bytes]]) -> None:
    _, whole = repository
    assert {f"demo/training/image_2/{number:06}.png" for number in range(6)} < whole.keys()
    assert not any(Path(path).name.startswith(".") for path in whole)


def test_an_output_edited_by_hand_is_seen_and_restored(repository: tuple[Path, dict[str, bytes]]) -> None:
    folder, whole = repository
    path = folder / "data" / IMAGE
    path.unlink()  # else a linked cache would change with it
    path.write_bytes(b"edited")
    assert "data/demo" in dvc(folder, "status")
    dvc(folder, "repro")
    assert made(folder) == whole


def test_a_damaged_cache_is_noticed_and_made_again(repository: tuple[Path, dict[str, bytes]]) -> None:
    folder, whole = repository
    wanted = whole[IMAGE]
    damaged = [
        path for path in (folder / ".dvc/cache/files").rglob("*") if path.is_file() and path.read_bytes() == wanted
    ]
    assert damaged
    for path in [*damaged, folder / "data" / IMAGE]:
        path.chmod(0o644)
        path.write_bytes(wanted[:-20])
    dvc(folder, "repro")
    assert made(folder) == whole
    assert wanted[:-20] not in tree(folder / ".dvc/cache/files").values()


def test_a_killed_run_is_taken_up_by_the_next(repository: tuple[Path, dict[str, bytes]]) -> None:
    folder, whole = repository
    process = start(folder, "repro", "--force")
    while (folder / "data/demo").exists():  # DVC removes outputs before a run
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    wait_for(folder, "data/demo/training", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert made(folder) != whole
    dvc(folder, "repro")
    assert made(folder) == whole
