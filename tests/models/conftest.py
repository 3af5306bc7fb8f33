"""Detectors with the reference weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from monokd.models.detector import Detector, build_detector
from monokd.quirks import Quirks


@pytest.fixture(scope="session")
def published_layout(golden_dir: Path) -> dict[str, list[int]]:
    """Name → shape of every tensor of the published detector, in order."""
    layout: dict[str, list[int]] = json.loads((golden_dir / "detector_tensors.json").read_text())
    return layout


@pytest.fixture(scope="session")
def golden_weights(golden_dir: Path, published_layout: dict[str, list[int]]) -> Callable[[int], dict[str, Tensor]]:
    """Seed → the weights that the reference numbers were made with."""
    spec = importlib.util.spec_from_file_location("golden_weights", golden_dir / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def make(seed: int) -> dict[str, Tensor]:
        arrays = module.make(published_layout, seed)
        return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}

    return make


@pytest.fixture(scope="session")
def golden_detector(golden_weights: Callable[[int], dict[str, Tensor]]) -> Callable[[int], Detector]:
    """Seed → the detector with the reference weights, in evaluation mode."""

    def make(seed: int) -> Detector:
        detector = build_detector(quirks=Quirks.of("published"))
        detector.load_state_dict(golden_weights(seed))
        return detector.eval()

    return make
