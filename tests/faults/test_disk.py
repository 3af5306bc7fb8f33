"""Disks that are full, read-only or closed to the user: one line with the path, exit 2, and nothing lost."""

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch

from monokd.errors import DataError
from monokd.files import write_bytes, write_text
from monokd.kitti.images import read_image
from monokd.kitti.labels import read_labels
from monokd.models.checkpoint import DetectorInfo, load_detector, save_detector
from monokd.models.detector import build_detector
from monokd.params import load_params
from monokd.report.drawing import write_picture
from tests.conftest import set_params, tree
from tests.faults.conftest import Ended, resize, without_rights

Disk = Callable[[str], Path]
Stage = Callable[..., Ended]


def test_a_full_disk_keeps_the_old_file_and_names_the_new_one(small_disk: Disk) -> None:
    disk = small_disk("200k")
    path = disk / "a.txt"
    write_text(path, "old")
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_bytes(path, bytes(300_000))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert tree(disk) == {"a.txt": b"old"}


def test_a_file_over_the_users_limit_ends_the_same_way(tmp_path: Path) -> None:
    path, limits = tmp_path / "a.txt", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_text(path, "old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            write_bytes(path, bytes(300_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.filename == str(path)
    assert tree(tmp_path) == {"a.txt": b"old"}


def test_weights_and_pictures_name_the_full_disk_too(small_disk: Disk) -> None:
    """Their libraries' own writers raise other errors, or none."""
    disk = small_disk("200k")
    torch.manual_seed(0)
    with pytest.raises(OSError, match=r"No space left on device.*model\.safetensors"):
        save_detector(build_detector(0.25), disk / "model.safetensors", DetectorInfo(width=0.25))
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    with pytest.raises(OSError, match=r"No space left on device.*a\.png"):
        write_picture(disk / "a.png", noise)
    assert tree(disk) == {}


@pytest.mark.parametrize("name", ["scenes", "depth"])
def test_a_stage_on_a_full_disk_stops_in_one_line_and_goes_on_when_there_is_room(
    name: str, workspace: Path, small_disk: Disk, stage: Stage
) -> None:
    disk = small_disk("60k")
    size = {"train_frames": 1, "val_frames": 1, "unlabelled_frames": 0, "width_px": 416, "height_px": 128}
    set_params(workspace, profiles__demo__scenes=size)
    (disk / "out").mkdir()
    (workspace / "data/depth").unlink()
    (workspace / "data/depth").symlink_to(disk / "out")
    out, *arguments = (str(disk / "out"),) * 2 if name == "scenes" else ("data/depth", "labelled")
    full = stage(workspace, name, *arguments)
    assert full.code == 2
    assert full.line.startswith(f"monokd: {out}/")
    assert full.line.endswith(": No space left on device")
    half = tree(disk)
    resize(disk, "20m")
    again = stage(workspace, name, *arguments)
    assert again.code == 0, again.errors
    whole = tree(disk)
    assert half.items() < whole.items()
    assert not any(part.startswith(".") for path in whole for part in path.split("/"))


def test_a_folder_that_may_not_be_written_is_named_by_every_command(open_folder: Path, command: Stage) -> None:
    labels = open_folder / "labels"
    labels.mkdir()
    (labels / "000000.txt").write_text("")
    command("evaluate", labels, labels)  # compiles, which cannot be cached without rights
    with without_rights():
        ended = command("evaluate", labels, labels, "--csv", open_folder / "ap.csv")
    assert ended.code == 2
    assert ended.line == f"monokd: {open_folder}/ap.csv: Permission denied"
    assert tree(open_folder) == {"labels/000000.txt": b""}


READERS: dict[str, Callable[[Path], object]] = {
    "label.txt": read_labels, "image.png": read_image, "params.yaml": load_params, "model.safetensors": load_detector,
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_may_not_be_read_is_named(name: str, open_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = open_folder / name
    path.write_bytes(b"content")
    path.chmod(0)
    with without_rights(), pytest.raises(DataError, match=r"Permission denied|permitted") as raised:
        READERS[name](path)
    assert str(raised.value).startswith(f"{path}: ")
    assert capfd.readouterr().err == ""


def evaluate_into(output: IO[str] | int, folder: Path) -> tuple[int, str]:
    """The exit status and the errors of a program whose standard output is `output`."""
    (folder / "000000.txt").write_text("")
    command = [sys.executable, "-m", "monokd.cli", "evaluate", str(folder), str(folder), "--json"]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Else a script would take half a table for a whole one."""
    with open("/dev/full", "w") as full:
        code, errors = evaluate_into(full, tmp_path)
    assert code == 2
    assert re.fullmatch(r"monokd: (standard output: )?No space left on device\n", errors)  # by how much fits a buffer


def test_a_reader_of_the_output_may_leave_early(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    assert evaluate_into(write, tmp_path) == (1, "")
    os.close(write)
