"""Files are whole or absent."""

from pathlib import Path

import pytest

from monokd.files import replacing, write_json, write_text


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    writing = replacing(path)
    writing.__enter__().write_text("half")
    assert not writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_makes_its_folder_and_keeps_the_suffix_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    with replacing(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o644


def test_json_without_a_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"ap": float("nan")})
    assert not list(tmp_path.iterdir())
