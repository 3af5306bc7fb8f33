"""Detectors with the reference weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

from monokd.models.detector import Detector, build_detector
from monokd.quirks import Quirks
from tests.models.golden import golden_weights


@pytest.fixture(scope="session")
def golden_detector(golden_dir: Path) -> Callable[[int], Detector]:
    """Seed → the detector with the reference weights, in evaluation mode."""

    def make(seed: int) -> Detector:
        detector = build_detector(quirks=Quirks.of("published"))
        detector.load_state_dict(golden_weights(golden_dir, seed))
        return detector.eval()

    return make
