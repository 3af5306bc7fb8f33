"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monokd.errors import DataError
from monokd.reading import read_bytes


@contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any exception it is removed.

    The temporary name keeps the suffix, because image writers choose their format by it. What a killed writer left is
    taken over by the next one of the same path. Two writers at once do not disturb each other; the later one wins.

    Args:
        path: the file.
        durable: flush file and folder to the disk, so that after a power loss too `path` is the old file or the new
            one. For what took long to make; a stage that a power loss stops makes its many small files anew, and
            flushing each of them would take longer than making them.

    Raises:
        OSError: the file cannot be written; names `path`.
        DataError: a folder, pipe or device is in its place, such as /dev/null.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError("expected a place for a file, found a folder, pipe or device", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary, handle = _claim(path)
        try:
            yield temporary
            if durable:
                _flush(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        if durable:
            _flush(path.parent)
    except OSError as error:
        if error.filename is not None and not Path(error.filename).name.startswith(f".{path.stem}."):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path`, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes, *, durable: bool = False) -> None:
    """Write `content` to `path`, whole or not at all; `durable` as in `replacing`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: unreadable, no JSON, a key twice, or a number that is not finite.
    """
    content = read_bytes(path, "file")
    try:
        return json.loads(
            content.decode("utf-8"), parse_float=_finite, parse_constant=_finite, object_pairs_hook=_each_key_once
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON: {error}", path) from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {text[:40]}")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError(f"expected each key once, found one twice among {', '.join(entries)[:80]}")
    return entries


def _claim(path: Path) -> tuple[Path, int]:
    """An empty file to write under another name, and an open handle that keeps it ours.

    The name is a function of `path`, so that no left-over outlives the next write; the lock tells a left-over from a
    file that another process is writing, beside which this one takes a random name.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # such as a left-over of another user
        return _random_name(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), temporary.lstat()):
            os.ftruncate(handle, 0)
            return temporary, handle
    except OSError:  # in use, gone meanwhile, or a disk without locks
        pass
    os.close(handle)
    return _random_name(path)


def _random_name(path: Path) -> tuple[Path, int]:
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    return Path(name), handle


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a disk that cannot flush folders
            raise
    finally:
        os.close(handle)
