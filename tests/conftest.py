"""Where the reference data lies; tests that need it skip in one line where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"needs reference data: set {variable} to its folder")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Numbers that the published code produced."""
    return _folder("MONOKD_GOLDEN", "golden")


@pytest.fixture(scope="session")
def kitti_dir() -> Path:
    """Real KITTI frames in KITTI's layout."""
    return _folder("MONOKD_KITTI", "kitti")


@pytest.fixture(scope="session")
def kitti_eval_dir() -> Path:
    """All KITTI labels, a published result set and the official tool's output for it."""
    return _folder("MONOKD_KITTI_EVAL", "kitti_eval")
