"""`monokd import`: what is written, what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monokd.commands.import_checkpoint import import_command
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
    import_command(save(tmp_path / "kd.pth", distillation("module.")), out, part=part)
    detector, info = load_detector(out, modality)
    assert (info.width, info.classes, info.anisotropic_decode, info.depth_scaled_twice) == (WIDTH, ("Car",), True, True)
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
    import_command(tmp_path / "dla34.pth", tmp_path / "out.safetensors", part=None)
    load_backbone(build_detector(WIDTH), tmp_path / "out.safetensors", None)


def test_incomplete_checkpoint_prints_the_table_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = network(1)
    del tensors["heatmap.2.bias"]
    with pytest.raises(DataError, match="heatmap"):
        import_command(save(tmp_path / "part.pth", tensors), tmp_path / "out.safetensors", part=None)
    assert not (tmp_path / "out.safetensors").exists()
    assert "needed" in capsys.readouterr().out
