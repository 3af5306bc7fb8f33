"""`monokd import`: every published layout, every key accounted for, what is written and printed."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from monokd.commands.import_checkpoint import groups, import_checkpoint, read_published
from monokd.errors import DataError
from monokd.models.checkpoint import load_backbone, load_detector
from monokd.models.detector import build_detector
from monokd.typing import Modality

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


def assert_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(("part", "network_"), [(None, "image"), ("student", "image"), ("teacher", "depth")])
def test_detector_alone(tmp_path: Path, part: str | None, network_: str) -> None:
    imported = read_published(save(tmp_path / "student.pth", network(1)), part)
    assert (imported.network, imported.width, imported.prefix) == (network_, WIDTH, "")
    assert_equal(imported.tensors, network(1))
    assert [key.name for key in imported.keys if key.status != "used"] == ["epoch", "optimizer_state"]


OTHERS = {1: ("centernet_depth", "the teacher: --part teacher"), 2: ("centernet_rgb", "the student: --part student")}


@pytest.mark.parametrize("module", ["", "module."])
@pytest.mark.parametrize(("part", "seed", "modality"), [(None, 1, "image"), ("teacher", 2, "depth")])
def test_distillation_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, part: str | None, seed: int, modality: Modality
) -> None:
    path, out = save(tmp_path / "kd.pth", distillation(module)), tmp_path / "out.safetensors"
    import_checkpoint(path, out, part)
    detector, info = load_detector(out, modality)
    assert (info.width, info.anisotropic_decode, info.classes) == (WIDTH, True, ("Car",))
    assert_equal(detector.state_dict(), network(seed))
    printed = capsys.readouterr().out
    words = ("kd.pth", "backbone.level3", "feat_up.ida_2", "adapt_layer32", "used", "ignored", "missing")
    assert all(word in printed for word in (*words, str(len(network(seed)))))
    rows = groups(read_published(path, part).keys)
    names = ("rgb_fs", "compute_align_select_loss", *(f"adapt_layer{s}" for s in (4, 8, 16, 32)))
    only = {(name, "distillation only") for name in names}
    assert sum(row[3] for row in rows) == len(distillation()) + 2  # every key once, those without weights too
    ignored = {(name, note) for name, status, note, *_ in rows if status == "ignored"}
    assert ignored == only | {OTHERS[seed], ("epoch", "no weights"), ("optimizer_state", "no weights")}


def test_imagenet_backbone_without_counters(tmp_path: Path) -> None:
    whole = dict(build_detector(WIDTH).backbone.state_dict())
    old = {name: t for name, t in whole.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "dla34.pth")
    imported = read_published(tmp_path / "dla34.pth")
    assert imported.network == "backbone"
    assert {key.name for key in imported.keys if key.status == "missing"} == whole.keys() - old.keys()
    import_checkpoint(tmp_path / "dla34.pth", tmp_path / "out.safetensors")
    detector = build_detector(WIDTH)
    load_backbone(detector, tmp_path / "out.safetensors", None)
    assert_equal(detector.backbone.state_dict(), whole)


def test_half_precision_becomes_single_and_shared_memory_is_separated(tmp_path: Path) -> None:
    """Entries may be views of one tensor, which safetensors would refuse to write."""
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in network(1).items()}
    tensors["backbone.level0.1.bias"] = tensors["backbone.level0.1.weight"]
    imported = read_published(save(tmp_path / "half.pth", tensors))
    assert {t.dtype for t in imported.tensors.values()} == {torch.float32, torch.int64}
    pointers = [t.data_ptr() for t in imported.tensors.values()]
    assert len(set(pointers)) == len(pointers)


def test_missing_tensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = network(1)
    for name in ("heatmap.2.bias", "size_3d.0.weight", "backbone.level0.1.num_batches_tracked"):
        del tensors[name]
    path, out = save(tmp_path / "part.pth", tensors), tmp_path / "out.safetensors"
    assert sum(key.status == "missing" for key in read_published(path).keys) == 3
    with pytest.raises(DataError, match=r'part\.pth: expected .* Missing .*"heatmap\.2\.bias", "size_3d\.0\.weight"'):
        import_checkpoint(path, out)
    assert not out.exists()
    assert "needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("whole", "change", "part", "reason"),
    [
        (True, {"heatmap.2.bias": torch.zeros(4)}, None, r"size mismatch for heatmap\.2\.bias: .*\[4\].*\[3\]"),
        (True, {"backbone.level5.root.conv.weight": torch.zeros(3)}, None, "expected 8 to 2048 channels"),
        (True, {"centernet_rgb.x": torch.zeros(3)}, "teacher", "expected a teacher .* found only a student"),
        (True, {}, "tutor", "part: expected student or teacher, found 'tutor'"),
        (False, {"conv1.weight": torch.zeros(3)}, None, "expected keys of a detector .* found 'conv1.weight'"),
        (False, {"base_layer.0.weight": torch.zeros(3)}, "student", "found a backbone alone"),
    ],
)
def test_refusals(tmp_path: Path, whole: bool, change: dict[str, Tensor], part: str | None, reason: str) -> None:
    """A detector with some tensors changed, and other tensors alone."""
    path, out = save(tmp_path / "bad.pth", (network(1) if whole else {}) | change), tmp_path / "out.safetensors"
    with pytest.raises(DataError, match=reason) as caught:
        import_checkpoint(path, out, part)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_classes_are_stored_and_checked(tmp_path: Path) -> None:
    checkpoint, out = save(tmp_path / "a.pth", network(1)), tmp_path / "out.safetensors"
    for wrong in ("Car,Bus", "Car,Car"):
        with pytest.raises(DataError, match=f"expected some of Pedestrian,Car,Cyclist, each once, found '{wrong}'"):
            import_checkpoint(checkpoint, out, classes=wrong)
    assert not out.exists()
    import_checkpoint(checkpoint, out, classes="Car,Cyclist")
    assert load_detector(out)[1].classes == ("Car", "Cyclist")
