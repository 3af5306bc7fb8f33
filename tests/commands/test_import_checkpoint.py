"""`monokd import`: what is written, what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monokd.commands.import_checkpoint import import_checkpoint
from monokd.errors import DataError
from monokd.models.checkpoint import load_backbone, load_detector
from monokd.models.detector import build_detector
from monokd.typing import Modality
from tests.commands.test_published import WIDTH, distillation, network, save


@pytest.mark.parametrize(("part", "seed", "modality"), [(None, 1, "image"), ("teacher", 2, "depth")])
def test_writes_the_chosen_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str | None, seed: int, modality: Modality
) -> None:
    out = tmp_path / "out.safetensors"
    import_checkpoint(save(tmp_path / "kd.pth", distillation("module.")), out, part)
    detector, info = load_detector(out, modality)
    assert (info.width, info.anisotropic_decode, info.classes) == (WIDTH, True, ("Car",))
    expected = network(seed)
    assert all(torch.equal(t, expected[name]) for name, t in detector.state_dict().items())
    printed = capsys.readouterr().out
    for word in (
        "kd.pth",
        "backbone.level3",
        "feat_up.ida_2",
        "adapt_layer32",
        "used",
        "ignored",
        "missing",
        str(len(expected)),
    ):
        assert word in printed


def test_writes_a_backbone(tmp_path: Path) -> None:
    torch.save(dict(build_detector(WIDTH).backbone.state_dict()), tmp_path / "dla34.pth")
    import_checkpoint(tmp_path / "dla34.pth", tmp_path / "out.safetensors")
    load_backbone(build_detector(WIDTH), tmp_path / "out.safetensors", None)


def test_incomplete_checkpoint_prints_the_table_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = network(1)
    del tensors["heatmap.2.bias"]
    with pytest.raises(DataError, match="heatmap"):
        import_checkpoint(save(tmp_path / "part.pth", tensors), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    assert "needed" in capsys.readouterr().out


def test_classes_are_stored_and_checked(tmp_path: Path) -> None:
    checkpoint, out = save(tmp_path / "a.pth", network(1)), tmp_path / "out.safetensors"
    with pytest.raises(DataError, match="--classes: expected some of Pedestrian,Car,Cyclist, found 'Car,Bus'"):
        import_checkpoint(checkpoint, out, classes="Car,Bus")
    assert not out.exists()
    import_checkpoint(checkpoint, out, classes="Car,Cyclist")
    assert load_detector(out)[1].classes == ("Car", "Cyclist")
