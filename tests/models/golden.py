"""The reference numbers' names for what the detector returns, and their tolerance."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monokd.models.outputs import DetectorOutput

ROI_KEYS = {
    "heading": "heading",
    "vis_depth": "vis_depth_m",
    "att_depth": "att_depth_m",
    "ins_depth": "ins_depth_m",
    "vis_depth_uncer": "vis_log_uncertainty",
    "att_depth_uncer": "att_log_uncertainty",
    "ins_depth_uncer": "ins_log_uncertainty",
    "offset_3d": "offset_3d",
    "size_3d": "size_3d",
}
MAP_KEYS = ("heatmap", "offset_2d", "size_2d")


def published_layout(folder: Path) -> dict[str, list[int]]:
    """Name → shape of every tensor of the published detector, in order."""
    layout: dict[str, list[int]] = json.loads((folder / "detector_tensors.json").read_text())
    return layout


def golden_weights(folder: Path, seed: int, layout: dict[str, list[int]] | None = None) -> dict[str, Tensor]:
    """The weights that the reference numbers were made with, for tensors of these names and shapes or a detector's."""
    spec = importlib.util.spec_from_file_location("golden_weights", folder / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: torch.from_numpy(np.asarray(array))
        for name, array in module.make(layout or published_layout(folder), seed).items()
    }


def outputs_by_key(output: DetectorOutput) -> dict[str, Tensor]:
    """The detector's maps and region outputs under their reference names."""
    maps = {key: getattr(output, key) for key in MAP_KEYS}
    return maps | {key: getattr(output.roi, name) for key, name in ROI_KEYS.items()}


def assert_within_range(found: Tensor, expected: NDArray[Any], key: str) -> None:
    """Agreement to 1e-4 of the map's range.

    A map that hardly varies around a large bias is known no better than single precision's sum of 256 terms, 16 units
    in the last place of its largest value.
    """
    assert tuple(found.shape) == expected.shape, key
    tolerance = 1e-4 * float(np.ptp(expected)) + 16 * float(np.spacing(np.abs(expected).max()))
    error = float(np.abs(found.numpy() - expected).max())
    assert error <= tolerance, f"{key}: {error:.3g} > {tolerance:.3g}"
