"""The cache of compiled functions belongs to all code that decides them."""

from pathlib import Path

import pytest

from monokd import compiled


def test_a_constant_of_another_file_names_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    folders = set()
    for text in ("STRIDE = 4", "STRIDE = 8"):
        (tmp_path / "constants.py").write_text(text)
        folders.add(compiled._cache_folder())
    assert len(folders) == 2
