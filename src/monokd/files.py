"""Files that are read whole, and files that are written whole or not at all."""

import errno
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monokd.errors import DataError

TEXT_LIMIT_BYTES = 64 << 20
BINARY_LIMIT_BYTES = 256 << 20
WEIGHTS_LIMIT_BYTES = 16 << 30


def read_whole(path: str | Path, limit_bytes: int) -> bytes:
    """Read all bytes of a file; DataError for a folder, a pipe or device, which could have no end, or one too large."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise DataError("expected a file, found a folder, pipe or device", path)
    if status.st_size > limit_bytes:
        raise DataError(f"expected at most {limit_bytes >> 20:,} MiB, found {status.st_size >> 20:,} MiB", path)
    return Path(path).read_bytes()


def read_bytes(path: str | Path, what: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """Read all bytes of a file that the message calls `what`; as `read_whole`, with DataError for every fault."""
    try:
        return read_whole(path, limit_bytes)
    except FileNotFoundError as error:
        raise DataError(f"no such {what}", path) from error
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path) from error


def read_json(path: str | Path) -> Any:
    """Read a JSON file; unreadable, no JSON, or a number that is not finite is a DataError."""
    try:
        return json.loads(read_bytes(path, "file"), parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON: {error}", path) from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {text[:40]}")
    return value


@contextmanager
def replacing(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any exception it is removed.

    Its folder is made. The temporary name is hidden and keeps the suffix, because image writers choose their format by
    it. Two writers at once do not disturb each other; the later one wins. `durable` flushes file and folder to the
    disk, so that after a power loss too `path` is the old file or the new one: for what took long to make, since
    flushing thousands of small files takes longer than making them. A failing disk is an OSError that names `path`; a
    folder, pipe or device in its place, such as /dev/null, a DataError.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError("expected a place for a file, found a folder, pipe or device", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}."
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            if durable:
                _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if durable:
            _flush(path.parent)
    except OSError as error:
        if error.filename is not None and not Path(error.filename).name.startswith(prefix):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path`, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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
