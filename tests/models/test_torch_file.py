"""Files of tensors: what is opened, what is refused in one line, and that no code runs."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from monokd.errors import DataError
from monokd.models.torch_file import read_torch_file
from monokd.training.state import load_state


class Bomb:
    """What an attacker pickles: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_safetensors_and_their_metadata(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"about": "it"})
    file = read_torch_file(tmp_path / "a.safetensors")
    assert file.tensors["a"].tolist() == [1, 1]
    assert file.metadata == {"about": "it"}


def test_wrappers_and_prefixes_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    torch.save({"epoch": 3, "model_state": {"module.a.b": torch.ones(2)}, "optimizer_state": {}}, path)
    file = read_torch_file(path)
    assert list(file.tensors) == ["a.b"]
    assert file.others == ("epoch", "optimizer_state")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *((content, "expected") for content in ({}, {"epoch": 3}, [torch.ones(1)], torch.ones(1))),
        ({"module.a": torch.ones(2), "a": torch.zeros(2)}, "with and without 'module"),
    ],
)
def test_tensors_need_one_name_each(tmp_path: Path, content: object, reason: str) -> None:
    torch.save(content, tmp_path / "run.pth")
    refused(tmp_path / "run.pth", reason)


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x08" + b"\0" * 7 + b"{}      ", b"\xff" * 8 + b"{", b"\xff" * 64, b"PK\3\4"]
)
def test_rubbish(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rubbish.pth").write_bytes(content)
    refused(tmp_path / "rubbish.pth", "expected")


@pytest.mark.parametrize("writer", ["torch", "old torch", 0, 2, 4, 5])
def test_code_in_a_checkpoint_or_state_does_not_run(tmp_path: Path, writer: str | int) -> None:
    """Whatever wrote it; a checkpoint is refused in one line."""
    path, folder = tmp_path / "bomb.pth", tmp_path / "made by the bomb"
    content = {"model_state": {"backbone.x": torch.zeros(1)}, "more": Bomb(folder)}
    if isinstance(writer, int):
        path.write_bytes(pickle.dumps(content["more"], protocol=writer))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    refused(path, "refused: expected tensors only, found code")
    assert load_state(path) is None
    assert not folder.exists()


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_and_compressed_archives_are_refused(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "run.pth"
    torch.save({"a": torch.full((64,), 2.0)}, path)
    if compressed:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        path.write_bytes(path.read_bytes().replace(b"\0\0\0\x40\0\0\0\x40", b"\0\0\0\x41\0\0\0\x40", 1))
    refused(path, "damaged archive")
