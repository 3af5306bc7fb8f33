"""What the report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monokd.errors import DataError


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One network's results.

    Attributes:
        name: teacher, baseline or student (another name gets a spare look).
        metrics: parsed kitti.json; `bootstrap` (intervals) and `difference` (against another network) are shown when
            present, in the form in which `monokd evaluate --json` prints them.
        history: training history CSV.
        curves: precision–recall CSV.
        predictions: folder of KITTI result files, one a frame; a missing file counts as empty.
        previous: metrics of an earlier state to compare with.
    """

    name: str
    metrics: Mapping[str, Any]
    history: Path | None = None
    curves: Path | None = None
    predictions: Path | None = None
    previous: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FramePicture:
    """The files of one frame that may be shown; nothing is read before the frame is chosen, but its label.

    Attributes:
        frame: id.
        image: left colour image.
        calibration: KITTI calibration file.
        label: KITTI label file; None where there is none.
        depth: dense depth PNG.
        heat: network name → greyscale picture of its heat map, any size, covering the whole image.
    """

    frame: str
    image: Path
    calibration: Path
    label: Path | None = None
    depth: Path | None = None
    heat: Mapping[str, Path] = field(default_factory=dict)


def check_names(models: list[str]) -> None:
    """Refuse two networks of one name (DataError)."""
    for name in models:
        if models.count(name) > 1:
            raise DataError(f"expected networks of different names, found {name!r} {models.count(name)} times")
