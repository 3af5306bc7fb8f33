"""The reference numbers' names for what the detector returns, and their tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
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
