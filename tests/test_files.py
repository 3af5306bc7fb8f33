"""Files are whole or absent."""

import os
import stat
import threading
from pathlib import Path

import pytest

from monokd.errors import DataError
from monokd.files import read_bytes, read_json, replacing, write_json, write_text


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


def test_writers_at_once_do_not_mix_and_leave_nothing_behind(tmp_path: Path) -> None:
    path, contents = tmp_path / "a.txt", [letter * 200_000 for letter in "abcd"]
    barrier = threading.Barrier(4)

    def write(content: str) -> None:
        with replacing(path) as temporary:
            barrier.wait(60)
            temporary.write_text(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever; /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="expected a file, found a folder, pipe or device"):
            read_bytes(path, "label")
        with pytest.raises(DataError, match="expected a place for a file"):
            write_text(path, "x")
    assert (tmp_path / "pipe").is_fifo()


def test_reading_names_what_is_missing_too_large_or_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: no such label"):
        read_bytes(tmp_path / "a.txt", "label")
    (tmp_path / "a.txt").write_bytes(bytes(3 << 20))
    with pytest.raises(DataError, match="expected at most 2 MiB, found 3 MiB"):
        read_bytes(tmp_path / "a.txt", "label", 2 << 20)


def test_json_that_is_none_is_neither_read_nor_written(tmp_path: Path) -> None:
    for text in ("", "{", "[NaN]", "[1e999]", "[" * 100_000):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(DataError, match="expected JSON"):
            read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"ap": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_file_and_folder_are_flushed_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content before name, name before success: a power loss finds the old file or the new one."""
    seen: list[tuple[str, bool]] = []

    def flush(handle: int) -> None:
        seen.append(("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file", (tmp_path / "a.txt").exists()))

    monkeypatch.setattr(os, "fsync", flush)
    with replacing(tmp_path / "a.txt", durable=True) as temporary:
        temporary.write_bytes(b"new")
    assert seen == [("file", False), ("folder", True)]
