"""Every published layout, every key accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from monokd.commands.published import Imported, groups, read_published
from monokd.errors import DataError
from monokd.models.checkpoint import DetectorInfo, empty_detector, fill
from monokd.models.detector import Detector, build_detector

WIDTH = 0.125


def network(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(build_detector(WIDTH).state_dict())


def distillation(module: str = "") -> dict[str, Tensor]:
    """Student (seed 1), teacher (seed 2) and the distillation's own modules."""
    tensors = {f"centernet_rgb.{name}": t for name, t in network(1).items()}
    tensors |= {f"centernet_depth.{name}": t for name, t in network(2).items()}
    tensors |= {f"adapt_layer{s}.0.weight": torch.zeros(2) for s in (4, 8, 16, 32)}
    tensors |= {
        "rgb_fs.0.conv1.0.weight": torch.zeros(3),
        "compute_align_select_loss.conv_stu_0.0.weight": torch.ones(5),
    }
    return {module + name: t for name, t in tensors.items()}


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save({"epoch": 150, "model_state": tensors, "optimizer_state": {"state": {}}}, path)
    return path


def imported_detector(path: Path, part: str | None) -> Detector:
    imported = read_published(path, part)
    detector = empty_detector(imported.info())
    fill(detector, imported.tensors, path)
    return detector


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(("part", "network_"), [(None, "image"), ("student", "image"), ("teacher", "depth")])
def test_detector_alone(tmp_path: Path, part: str | None, network_: str) -> None:
    imported = read_published(save(tmp_path / "student.pth", network(1)), part)
    assert (imported.network, imported.width, imported.prefix) == (network_, WIDTH, "")
    assert_equal(imported.tensors, network(1))
    assert [key.name for key in imported.keys if key.status != "used"] == ["epoch", "optimizer_state"]


@pytest.mark.parametrize("module", ["", "module."])
@pytest.mark.parametrize(
    ("part", "seed", "network_"), [(None, 1, "image"), ("student", 1, "image"), ("teacher", 2, "depth")]
)
def test_distillation_checkpoint(tmp_path: Path, module: str, part: str | None, seed: int, network_: str) -> None:
    path = save(tmp_path / "kd.pth", distillation(module))
    imported = read_published(path, part)
    assert imported.network == network_
    assert_equal(imported.tensors, network(seed))
    fill(empty_detector(imported.info()), imported.tensors, path)
    ignored = {(name, note) for name, status, note, *_ in groups(imported.keys) if status == "ignored"}
    other = (
        ("centernet_depth", "the teacher: --part teacher")
        if seed == 1
        else ("centernet_rgb", "the student: --part student")
    )
    only = {(name, "distillation only") for name in ("rgb_fs", "compute_align_select_loss")}
    only |= {(f"adapt_layer{s}", "distillation only") for s in (4, 8, 16, 32)}
    assert ignored == only | {other, ("epoch", "no weights"), ("optimizer_state", "no weights")}


def test_every_key_is_counted_once(tmp_path: Path) -> None:
    tensors = distillation()
    imported = read_published(save(tmp_path / "kd.pth", tensors), None)
    assert sorted(key.name for key in imported.keys) == sorted([*tensors, "epoch", "optimizer_state"])
    rows = groups(imported.keys)
    assert sum(row[3] for row in rows) == len(imported.keys)
    assert sum(row[4] for row in rows) == sum(t.numel() for t in tensors.values())


def test_imagenet_backbone_without_counters(tmp_path: Path) -> None:
    whole = dict(build_detector(WIDTH).backbone.state_dict())
    old = {name: t for name, t in whole.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "dla34.pth")
    imported = read_published(tmp_path / "dla34.pth")
    assert imported.network == "backbone"
    backbone = empty_detector(imported.info()).backbone
    fill(backbone, imported.tensors, "")
    assert_equal(backbone.state_dict(), whole)
    assert {key.name for key in imported.keys if key.status == "missing"} == whole.keys() - old.keys()


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in network(1).items()}
    imported = read_published(save(tmp_path / "half.pth", tensors))
    assert {t.dtype for t in imported.tensors.values()} == {torch.float32, torch.int64}


def test_shared_memory_is_separated(tmp_path: Path) -> None:
    """Entries may be views of one tensor, which safetensors would refuse to write."""
    tensors = network(1)
    tensors["backbone.level0.1.bias"] = tensors["backbone.level0.1.weight"]
    imported = read_published(save(tmp_path / "shared.pth", tensors))
    pointers = [t.data_ptr() for t in imported.tensors.values()]
    assert len(set(pointers)) == len(pointers)


def test_missing_tensors(tmp_path: Path) -> None:
    tensors = network(1)
    for name in ("heatmap.2.bias", "size_3d.0.weight", "backbone.level0.1.num_batches_tracked"):
        del tensors[name]
    path = save(tmp_path / "part.pth", tensors)
    imported = read_published(path)
    assert sum(key.status == "missing" for key in imported.keys) == 3
    with pytest.raises(DataError, match=r'part\.pth: expected .* Missing .*"heatmap\.2\.bias", "size_3d\.0\.weight"'):
        fill(empty_detector(imported.info()), imported.tensors, path)


def test_what_the_file_of_an_imported_network_says() -> None:
    """Every published network has the same geometry and scale of depth; its classes are asked for."""
    imported = Imported({}, "depth", WIDTH, "", ())
    info = DetectorInfo(
        width=WIDTH, modality="depth", classes=("Car",), height_px=384, width_px=1280,
        anisotropic_decode=True, clamped_heights=True, depth_scaled_twice=True,
    )  # fmt: skip
    assert imported.info() == info
    assert imported.info(["Pedestrian", "Car"]).classes == ("Pedestrian", "Car")


@pytest.mark.parametrize(
    ("change", "part", "reason"),
    [
        ({"heatmap.2.bias": torch.zeros(4)}, None, r"size mismatch for heatmap\.2\.bias: .*\[4\].*\[3\]"),
        ({"heatmap.2.bias": torch.full((3,), float("inf"))}, None, "expected finite torch.float32"),
        ({"backbone.level5.root.conv.weight": torch.zeros(3)}, None, "expected 8 to 2048 channels"),
        ({"centernet_rgb.x": torch.zeros(3)}, "teacher", "expected a teacher .* found only a student"),
        ({}, "tutor", "part: expected student or teacher, found 'tutor'"),
    ],
)
def test_refusals(tmp_path: Path, change: dict[str, Tensor], part: str | None, reason: str) -> None:
    path = save(tmp_path / "bad.pth", network(1) | change)
    with pytest.raises(DataError, match=reason) as caught:
        imported_detector(path, part)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "part", "reason"),
    [
        (
            {"conv1.weight": torch.zeros(3)},
            None,
            "expected keys of a detector .* found 'conv1.weight'",
        ),
        ({"backbone.x": torch.zeros(3)}, None, "level5.root.conv.weight is missing"),
        ({"base_layer.0.weight": torch.zeros(3)}, "student", "found a backbone alone"),
    ],
)
def test_other_networks(tmp_path: Path, tensors: dict[str, Tensor], part: str | None, reason: str) -> None:
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(DataError, match=reason):
        read_published(tmp_path / "other.pth", part)
