"""Files that others wrote: whole, no larger than they can be, and never from something that only looks like a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from monokd.errors import DataError

TEXT_LIMIT_BYTES = 64 << 20
BINARY_LIMIT_BYTES = 1 << 30
CHUNK_BYTES = 1 << 16
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_whole(path: str | Path, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """All bytes of a file, by bare system calls: thousands of small files are to be read in a moment.

    Raises:
        OSError: it cannot be opened or read.
        DataError: no file but a folder, pipe or device, which could have no end; or larger than the limit.
    """
    handle = open_file(path)
    try:
        content = os.read(handle, CHUNK_BYTES)
        if len(content) < CHUNK_BYTES:
            return content
        parts, total = [content], len(content)
        while total <= limit_bytes and (more := os.read(handle, 1 << 20)):
            parts.append(more)
            total += len(more)
    finally:
        os.close(handle)
    if total > limit_bytes:
        raise DataError(f"expected at most {limit_bytes >> 20} MiB, found a larger file", path)
    return b"".join(parts)


def read_bytes(path: str | Path, what: str, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """All bytes of a file.

    Args:
        path: the file.
        what: it is called in the message.
        limit_bytes: more are refused.

    Raises:
        DataError: unreadable, no file but a folder, pipe or device, or larger than the limit.
    """
    try:
        return read_whole(path, limit_bytes)
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path) from error


def open_file(path: str | Path) -> int:
    """A handle for reading; the caller closes it.

    Raises:
        OSError: it cannot be opened.
        DataError: no file but a folder, pipe or device.
    """
    try:
        # Opening a pipe that nobody writes to would otherwise wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise DataError("expected a path, found one with a zero byte", repr(str(path))) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise DataError(f"expected a file, found {KINDS.get(stat.S_IFMT(mode), 'something else')}", path)
    return handle
