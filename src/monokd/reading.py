"""Names of `monokd.files` under their old place, and two checks of checkpoints."""

from __future__ import annotations

import zipfile
from pathlib import Path

from monokd.errors import DataError
from monokd.files import BINARY_LIMIT_BYTES, TEXT_LIMIT_BYTES, WEIGHTS_LIMIT_BYTES, read_bytes, read_whole

__all__ = [
    "BINARY_LIMIT_BYTES", "TEXT_LIMIT_BYTES", "WEIGHTS_LIMIT_BYTES", "check_archive", "check_file",
    "read_bytes", "read_whole",
]  # fmt: skip


def check_file(path: str | Path, what: str, limit_bytes: int = WEIGHTS_LIMIT_BYTES) -> None:
    """Refuse what a library would wait for, or take all memory for.

    Raises:
        DataError: missing, no file but a folder, pipe or device, unreadable, or larger than the limit.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise DataError("expected a file, found a folder, pipe or device", path)
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path) from error
    if size > limit_bytes:
        raise DataError(f"expected at most {limit_bytes >> 20:,} MiB, found {size >> 20:,} MiB", path)


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
