"""Heat maps lie where in the image the detector looked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from monokd.models.checkpoint import DetectorInfo
from monokd.report import heat_maps as module
from monokd.report.heat_maps import heat_maps, over_image
from tests.report.fakes import spot, write_frames


def test_a_cell_lies_at_its_place_in_the_image() -> None:
    """Cell (12, 40) is input pixels 160 to 164, 48 to 52: 320 to 328, 96 to 104 where the image is twice as large."""
    large = over_image(spot(), 640, 192)
    assert large.shape == (192, 640)
    weights = large / large.sum()
    np.testing.assert_allclose((weights.sum(axis=0) @ (np.arange(640) + 0.5)), 324, atol=0.1)
    np.testing.assert_allclose((weights.sum(axis=1) @ (np.arange(192) + 0.5)), 100, atol=0.1)


def test_an_image_higher_than_the_input_is_cut_at_top_and_bottom() -> None:
    """The width sets the scale: of 300 rows the input sees the middle 192."""
    tall = over_image(np.ones((24, 80), dtype=np.float32), 640, 300)
    assert tall[150].min() > 0.4
    assert tall[40].max() == 0
    assert tall[259].max() == 0


class Detector(torch.nn.Module):
    """Answers with one sure peak of class 1 and one of class 0."""

    def forward(self, image: torch.Tensor, P2: torch.Tensor, coord_range_px: torch.Tensor) -> Any:
        assert image.shape == (1, 3, 96, 320)
        assert not self.training
        heatmap = torch.full((1, 3, 24, 80), -20.0)
        heatmap[0, 1, 12, 40] = heatmap[0, 0, 3, 10] = 20.0
        return SimpleNamespace(heatmap=heatmap)


def test_only_the_trained_classes_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class 1 is Car; what the untrained pedestrian channel says stays out."""
    source, _ = write_frames(tmp_path, 2)
    info = DetectorInfo(modality="depth", classes=("Car",), height_px=96, width_px=320)
    monkeypatch.setattr(module, "load_detector", lambda path: (Detector(), info))
    maps = heat_maps(Path("teacher.safetensors"), source.folder, source.ids, depth_dir=tmp_path / "depth")
    assert list(maps) == ["000000", "000001"]
    assert maps["000000"].shape == (96, 320)
    assert maps["000000"][50, 162] > 0.7
    assert maps["000000"][14, 42] < 0.01
