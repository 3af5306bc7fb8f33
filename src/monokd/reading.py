"""Files that others wrote: whole, no larger than they can be, and never from something that only looks like a file."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from pathlib import Path

from monokd.errors import DataError

TEXT_LIMIT_BYTES = 64 << 20
BINARY_LIMIT_BYTES = 256 << 20
WEIGHTS_LIMIT_BYTES = 16 << 30
CHUNK_BYTES = 1 << 16
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_whole(path: str | Path, limit_bytes: int = TEXT_LIMIT_BYTES) -> bytes:
    """All bytes of a file, by bare system calls: thousands of small files are to be read in a moment.

    Raises:
        OSError: it cannot be opened or read, or is a folder.
        DataError: no file but a pipe or a device, which could have no end; or larger than the limit.
    """
    handle = open_file(path, limit_bytes)
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
        raise DataError(f"expected at most {limit_bytes >> 20:,} MiB, found more", path)
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


def check_file(path: str | Path, what: str, limit_bytes: int = WEIGHTS_LIMIT_BYTES) -> None:
    """Refuse what a library would wait for, or take all memory for.

    Raises:
        DataError: unreadable, no file but a folder, pipe or device, or larger than the limit.
    """
    try:
        os.close(open_file(path, limit_bytes))
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path) from error


def open_file(path: str | Path, limit_bytes: int) -> int:
    """A handle for reading; the caller closes it.

    Raises:
        OSError: it cannot be opened, or is a folder.
        DataError: no file but a pipe or a device, or larger than the limit.
    """
    try:
        # Opening a pipe that nobody writes to would otherwise wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise DataError("expected a path, found one with a zero byte", repr(str(path))) from error
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_size <= limit_bytes:
        return handle
    os.close(handle)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(status.st_mode):
        raise DataError(f"expected at most {limit_bytes >> 20:,} MiB, found {status.st_size >> 20:,} MiB", path)
    raise DataError(f"expected a file, found {KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}", path)


def check_archive(path: str | Path) -> None:
    """Refuse a zip that is not as it was written: torch's reader compares no checksum.

    Members must be stored plainly, as torch stores them, so that a few bytes cannot grow to gigabytes.

    Raises:
        DataError: unreadable, damaged, a name twice, or compressed.
        FileNotFoundError: no such file.
    """
    try:
        with Path(path).open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            damaged = archive.testzip() if plain else None
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile meets arbitrary bytes and raises nearly anything, OSError for seeking wildly
        raise DataError(f"expected a whole zip archive, found a damaged one: {error}", path) from error
    if len(names) < len(members) or not plain:
        raise DataError("expected a zip archive of plainly stored members, each once", path)
    if damaged is not None:
        raise DataError(f"expected a whole zip archive, found member {damaged!r} damaged", path)
