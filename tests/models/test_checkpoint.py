"""Files of weights: round trips, refusals in one line, no code."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from monokd.errors import DataError
from monokd.models.checkpoint import (
    FORMAT,
    DetectorInfo,
    load_backbone,
    load_detector,
    save_backbone,
    save_detector,
)  # fmt: skip
from monokd.models.detector import build_detector
from tests.conftest import write_detector

INFO = DetectorInfo(0.125, "depth", ("Car",), 96, 320, True, True, True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "detector.safetensors", **asdict(INFO))


def rewritten(path: Path, **changes: object) -> Path:
    """The same tensors with other metadata."""
    stored = {"format": FORMAT, "info": asdict(INFO) | changes}
    save_file(load_file(path), path, metadata={"monokd": json.dumps(stored)})
    return path


def test_round_trip(saved: Path) -> None:
    """Weights, info, what is frozen; equal weights give equal bytes, and loading draws no random numbers."""
    torch.manual_seed(0)
    expected = build_detector(INFO.width).state_dict()
    state = torch.get_rng_state()
    detector, info = load_detector(saved, "depth")
    assert torch.equal(state, torch.get_rng_state())
    assert info == INFO
    assert (detector.anisotropic_decode, detector.clamped_heights) == (True, True)
    assert detector.training
    found = detector.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    frozen = {name for name, p in build_detector(INFO.width).named_parameters() if not p.requires_grad}
    assert {name for name, p in detector.named_parameters() if not p.requires_grad} == frozen
    again = saved.with_name("again.safetensors")
    save_detector(detector, again, info)
    assert again.read_bytes() == saved.read_bytes()


def test_wrong_modality(saved: Path) -> None:
    with pytest.raises(DataError, match=r"detector\.safetensors: expected a detector that sees image, found .* depth"):
        load_detector(saved, "image")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 1e9}, "width: .*less than or equal to 4, found 1000000000.0"),
        ({"modality": "lidar"}, "modality: .*'image' or 'depth', found 'lidar'"),
        ({"height_px": 100}, "height_px: .*multiple of 32, found 100"),
        ({"colour": "red"}, "colour: "),
        ({"classes": ["Tram"]}, r"classes: .*should be some of .*, found \['Tram'\]"),
        ({"architecture": "vgg"}, "architecture: .*should be 'dla34', found 'vgg'"),
        ({"width": 0.25}, "expected the tensors of a Detector: Missing .*project"),
    ],
)
def test_wrong_metadata(saved: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        load_detector(rewritten(saved, **changes))
    assert "\n" not in str(caught.value)
    assert "detector.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "metadata", [None, {"monokd": "[1]"}, {"monokd": "{"}, {"monokd": '{"format": "monokd detector 1"}'}]
)
def test_a_file_that_is_no_detectors(saved: Path, metadata: dict[str, str] | None) -> None:
    save_file(load_file(saved), saved, metadata=metadata)
    with pytest.raises(DataError, match=r"expected a detector file, as `monokd import` makes one: "):
        load_detector(saved)


@pytest.mark.parametrize("tensor", [None, torch.zeros(4), torch.full((3,), float("nan")), torch.zeros(3).half()])
def test_wrong_tensors(saved: Path, tensor: Tensor | None) -> None:
    """Missing, of another shape, not finite, of another type; and a tensor too many."""
    tensors = load_file(saved)
    del tensors["heatmap.2.bias"]
    for changes in ({} if tensor is None else {"heatmap.2.bias": tensor}, {"more": torch.zeros(1)}):
        save_file(tensors | changes, saved)
        with pytest.raises(DataError, match=r"more|heatmap\.2\.bias") as caught:
            load_detector(rewritten(saved))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("writer", ["torch", "old torch", "monokd"])
def test_backbone(tmp_path: Path, writer: str) -> None:
    """A file as ImageNet training left it, without prefix, and in old torch without counters; or our own."""
    path = tmp_path / "dla34.pth"
    torch.manual_seed(7)
    expected = dict(build_detector(0.125).backbone.state_dict())
    if writer == "monokd":
        save_backbone(expected, path)
        with pytest.raises(DataError, match=r"expected a detector file.* found 'monokd backbone 1'"):
            load_detector(path)
    else:
        old = writer == "old torch"
        kept = {k: v for k, v in expected.items() if not (old and k.endswith("num_batches_tracked"))}
        torch.save(kept, path, _use_new_zipfile_serialization=not old)
    torch.manual_seed(1)
    detector = build_detector(0.125)
    heads = detector.heatmap.state_dict()["0.weight"].clone()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_backbone(detector, path, digest)
    load_backbone(detector, path, digest[:8].upper())
    load_backbone(detector, path, None)
    found = detector.backbone.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert torch.equal(heads, detector.heatmap.state_dict()["0.weight"])
    for wrong in ("0" * 64, "deadbeef", "short", "z" * 64):
        with pytest.raises(DataError, match=r"dla34\.pth: expected .*SHA-256"):
            load_backbone(detector, path, wrong)
    with pytest.raises(DataError, match="Missing"):
        load_backbone(build_detector(0.25), path, None)
