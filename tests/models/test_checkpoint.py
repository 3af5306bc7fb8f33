"""Files of weights: round trips, refusals in one line, no code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from monokd.errors import DataError
from monokd.models.checkpoint import (
    FORMAT,
    DetectorInfo,
    checksum,
    load_backbone,
    load_detector,
    read_info,
    read_torch_file,
    save_backbone,
    save_detector,
)
from monokd.models.detector import build_detector

INFO = DetectorInfo(width=0.125, kind="depth", anisotropic_decode=False, height_px=96, width_px=320)


class Bomb:
    """What an attacker pickles: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "detector.safetensors"
    save_detector(build_detector(INFO.width), path, INFO)
    return path


def rewritten(path: Path, **changes: object) -> Path:
    """The same tensors with other words about themselves."""
    fields = {"format": "monokd detector 1", "width": 0.125, "kind": "depth", "classes": ["Car"]} | changes
    save_file(load_file(path), path, metadata={"monokd": json.dumps(fields)})
    return path


def test_a_file_older_than_the_newest_word_loads(saved: Path) -> None:
    """Its checksum is over the words that it has; what it does not say is as published, as it was then."""
    tensors = {name: tensor.clone() for name, tensor in load_file(saved).items()}
    words = {name: value for name, value in asdict(INFO).items() if name != "clamped_heights"}
    stored = {"format": FORMAT, **words, "crc32": checksum(tensors, words)}
    save_file(tensors, saved, metadata={"monokd": json.dumps(stored)})
    detector, info = load_detector(saved)
    assert info == replace(INFO, clamped_heights=True)
    assert detector.clamped_heights is True


def test_round_trip(saved: Path) -> None:
    torch.manual_seed(0)
    expected = build_detector(INFO.width).state_dict()
    detector, info = load_detector(saved, "depth")
    assert info == INFO
    assert detector.anisotropic_decode is False
    assert detector.training
    found = detector.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    frozen = {name for name, p in build_detector(INFO.width).named_parameters() if not p.requires_grad}
    assert {name for name, p in detector.named_parameters() if not p.requires_grad} == frozen


def test_equal_weights_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    """A pipeline recognises an unchanged model by its hash."""
    detector, info = load_detector(saved)
    save_detector(detector, tmp_path / "again.safetensors", info)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    state = torch.get_rng_state()
    load_detector(saved)
    assert torch.equal(state, torch.get_rng_state())


def test_wrong_kind(saved: Path) -> None:
    with pytest.raises(DataError, match=r"detector\.safetensors: expected a detector of kind rgb, found depth"):
        load_detector(saved, "rgb")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the detector"):
        load_detector(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": "wide"}, "width: expected a number"),
        ({"width": 1e9}, "width: expected a number above 0, at most 4"),
        ({"kind": "lidar"}, "kind: expected rgb or depth, found 'lidar'"),
        ({"height_px": 100}, "expected multiples of 32"),
        ({"format": "other"}, "monokd import"),
        ({"colour": "red"}, "expected a detector in safetensors"),
        ({"classes": 3}, "expected a detector in safetensors"),
        ({"width": 0.25}, "found .* missing or unknown|expected shape"),
    ],
)
def test_wrong_words_about_itself(saved: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_detector(rewritten(saved, **changes))


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "nan"])
def test_wrong_tensors(saved: Path, fault: str) -> None:
    tensors = load_file(saved)
    if fault == "missing":
        del tensors["heatmap.2.bias"]
    elif fault == "unknown":
        tensors["more"] = torch.zeros(1)
    else:
        tensors["heatmap.2.bias"] = torch.zeros(4) if fault == "shape" else torch.full((3,), float("nan"))
    save_file(tensors, saved)
    with pytest.raises(DataError, match=r"more|heatmap\.2\.bias"):
        load_detector(rewritten(saved))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08" + b"\0" * 7 + b"{}      ", b"\xff" * 64])
def test_rubbish(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rubbish.safetensors"
    path.write_bytes(content)
    for read in (read_info, read_torch_file):
        with pytest.raises(DataError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert "rubbish.safetensors" in str(caught.value)


@pytest.mark.parametrize("writer", ["torch", "old torch", 0, 2, 4, 5])
def test_code_is_refused_in_one_line(tmp_path: Path, writer: str | int) -> None:
    """A pickle that would run code does not run it, whatever wrote it."""
    path, folder = tmp_path / "bomb.pth", tmp_path / "made by the bomb"
    content = {"model_state": {"backbone.x": torch.zeros(1)}, "more": Bomb(folder)}
    if isinstance(writer, int):
        path.write_bytes(pickle.dumps(content["more"], protocol=writer))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(
        DataError, match=r"bomb\.pth: refused: expected tensors only, found .*(mkdir|may run code)"
    ) as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_wrappers_and_prefixes_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    torch.save({"epoch": 3, "model_state": {"module.a.b": torch.ones(2)}, "optimizer_state": {}}, path)
    file = read_torch_file(path)
    assert list(file.tensors) == ["a.b"]
    assert file.others == ("epoch", "optimizer_state")


def test_ambiguous_prefixes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    torch.save({"module.a": torch.ones(2), "a": torch.zeros(2)}, path)
    with pytest.raises(DataError, match="with and without 'module"):
        read_torch_file(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(1)], torch.ones(1)])
def test_no_tensors_by_name(tmp_path: Path, content: object) -> None:
    path = tmp_path / "run.pth"
    torch.save(content, path)
    with pytest.raises(DataError, match="expected"):
        read_torch_file(path)


def backbone_file(path: Path, old: bool) -> dict[str, torch.Tensor]:
    """A file as ImageNet training left it: no prefix, and in old torch no counters."""
    torch.manual_seed(7)
    tensors = build_detector(0.125).backbone.state_dict()
    if old:
        tensors = type(tensors)({k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")})
    torch.save(tensors, path, _use_new_zipfile_serialization=not old)
    return dict(tensors)


@pytest.mark.parametrize("old", [False, True])
def test_backbone(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "dla34.pth"
    expected = backbone_file(path, old)
    torch.manual_seed(1)
    detector = build_detector(0.125)
    heads = detector.heatmap.state_dict()["0.weight"].clone()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_backbone(detector, path, digest)
    load_backbone(detector, path, digest[:8].upper())
    found = detector.backbone.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert torch.equal(heads, detector.heatmap.state_dict()["0.weight"])


def test_backbone_in_our_file(tmp_path: Path) -> None:
    torch.manual_seed(7)
    tensors = build_detector(0.125).backbone.state_dict()
    save_backbone(tensors, tmp_path / "b.safetensors")
    detector = build_detector(0.125)
    load_backbone(detector, tmp_path / "b.safetensors", None)
    assert all(torch.equal(detector.backbone.state_dict()[name], t) for name, t in tensors.items())
    with pytest.raises(DataError, match="expected a file that says"):
        load_detector(tmp_path / "b.safetensors")


@pytest.mark.parametrize("digest", ["0" * 64, "deadbeef", "short", "z" * 64])
def test_backbone_of_another_hash(tmp_path: Path, digest: str) -> None:
    path = tmp_path / "dla34.pth"
    backbone_file(path, old=False)
    with pytest.raises(DataError, match=r"dla34\.pth: expected .*SHA-256"):
        load_backbone(build_detector(0.125), path, digest)


def test_backbone_of_another_width(tmp_path: Path) -> None:
    path = tmp_path / "dla34.pth"
    backbone_file(path, old=False)
    with pytest.raises(DataError, match="expected shape"):
        load_backbone(build_detector(0.25), path, None)
