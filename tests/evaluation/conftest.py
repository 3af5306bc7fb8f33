"""Folders of a small result set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation.cases import small_result_set


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return small_result_set(tmp_path)
