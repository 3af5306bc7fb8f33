"""What the report is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError

Heat = NDArray[np.float32]
HeatMaps = Callable[[Sequence[str]], Mapping[str, Mapping[str, Heat]]]
"""Frames → network → frame → its heat map, 0 to 1, any size, covering the whole image."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One network's results.

    Attributes:
        name: teacher, baseline or student (another name gets a spare look).
        metrics: parsed kitti.json; `bootstrap` (intervals) and `difference` (against another network) are shown when
            present, in the form in which `monokd evaluate --json` prints them.
        history: training history CSV.
        curves: precision–recall CSV.
        distances: CSV of AP by distance.
        predictions: folder of KITTI result files, one a frame; a missing file counts as empty.
    """

    name: str
    metrics: Mapping[str, Any]
    history: Path | None = None
    curves: Path | None = None
    distances: Path | None = None
    predictions: Path | None = None


@dataclass(frozen=True, slots=True)
class FramePicture:
    """The files of one frame that may be shown; nothing is read before the frame is chosen, but its label.

    Attributes:
        frame: id.
        image: left colour image.
        calibration: KITTI calibration file.
        label: KITTI label file; None where there is none.
        depth: dense depth PNG.
    """

    frame: str
    image: Path
    calibration: Path
    label: Path | None = None
    depth: Path | None = None


def check_names(models: list[str]) -> None:
    """Refuse two networks of one name (DataError)."""
    for name in models:
        if models.count(name) > 1:
            raise DataError(f"expected networks of different names, found {name!r} {models.count(name)} times")
