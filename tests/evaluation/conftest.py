"""Folders of a small result set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.cases import Line, line, place, write_frames


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """45 frames of one car, of which every ninth is not found; and a cyclist that is."""
    labels: list[list[Line]] = [[line(**place(k % 4))] for k in range(45)]
    results = [[line(**place(k % 4, score=1 - k / 100))] if k % 9 else [] for k in range(45)]
    labels[1].append(line("Cyclist", **place(6)))
    results[1].append(line("Cyclist", **place(6, score=0.5)))
    return write_frames(tmp_path / "labels", labels), write_frames(tmp_path / "results", results)
