"""The official KITTI zip files into a folder in KITTI's layout; nothing that a zip says can reach outside of it."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from monokd.errors import DataError, printable
from monokd.files import replacing
from monokd.progress import track

# What the official zips hold, and nothing else: no name can climb out, be absolute or hide a second meaning.
KITTI_NAME = re.compile(
    r"(?:training|testing)/(?:image_[23]|prev_[23])/\d{6}(?:_\d\d)?\.png"
    r"|(?:training|testing)/(?:calib|label_2)/\d{6}\.txt"
    r"|(?:training|testing)/velodyne/\d{6}\.bin",
    flags=re.ASCII,
)
KITTI_FOLDER = re.compile(r"(?:training|testing)/(?:(?:image_[23]|prev_[23]|calib|label_2|velodyne)/)?")
# KITTI's largest files: a picture of 1.2 MB, a text of 10 kB, a scan of 2.1 MB.
MAX_BYTES = {".png": 8 << 20, ".txt": 1 << 20, ".bin": 16 << 20}
MAX_RATIO = 200  # of a file to its packed bytes; KITTI's best packed label has less than 10
FREE_ALLOWANCE = 64 << 20  # disk that stays free
BLOCK = 4096  # what a small file takes on the disk
CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
OFFICIAL_EXAMPLE = "training/image_2/000000.png"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a zip and where it goes."""

    archive: Path
    info: zipfile.ZipInfo
    target: Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a run did: files written, and files that were there already with the same content."""

    made: int
    kept: int


def unpack_command(archives: Sequence[Path], root: Path) -> None:
    """Unpack and say how much.

    Raises:
        DataError: as `unpack`.
    """
    result = unpack(archives, root)
    typer.echo(printable(f"{result.made} unpacked, {result.kept} kept: {root}"), err=True)


def unpack(archives: Sequence[Path], root: Path) -> Unpacked:
    """Unpack KITTI's object zips into `root`.

    All zips are looked through before the first byte is written. Every file appears whole or not at all, under its
    checksum; one that is there with the same content is kept, so that a stopped run can be taken up again; one with
    other content is never overwritten.

    Raises:
        DataError: no zip, a damaged one, a member that is not one of KITTI's files or comes twice, too little disk, or
            another file in the way.
        OSError: `root` cannot be written.
    """
    members = [member for archive in archives for member in _members(archive, root)]
    _refuse_duplicates(members)
    missing = [member for member in members if not _is_there(member)]
    _check_disk(missing, root)
    by_archive: dict[Path, list[Member]] = {}
    for member in missing:
        by_archive.setdefault(member.archive, []).append(member)
    for archive, chosen in by_archive.items():
        with _opened(archive) as stream:
            for member in track(chosen, archive.name, len(chosen)):
                _extract(stream, member)
    return Unpacked(len(missing), len(members) - len(missing))


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The zip; whatever is wrong with its bytes becomes one error."""
    try:
        with zipfile.ZipFile(archive) as stream:
            yield stream
    except FileNotFoundError as error:
        if error.filename != str(archive):
            raise
        raise DataError("expected a zip file, found none", archive) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(f"expected a whole zip file: {error}", archive) from error


def _members(archive: Path, root: Path) -> list[Member]:
    """The files of a zip, all of them checked by what its table of contents says."""
    with _opened(archive) as stream:
        infos = [info for info in stream.infolist() if not KITTI_FOLDER.fullmatch(info.filename)]
    for info in infos:
        fault = _fault(info)
        if fault:
            raise DataError(f"refused: member {info.filename!r}: {fault}", archive)
    if not infos:
        raise DataError(f"expected KITTI's files such as {OFFICIAL_EXAMPLE}, found none", archive)
    packed = sum(info.compress_size for info in infos)
    if packed > archive.stat().st_size:
        raise DataError(f"refused: its members claim {packed:,} packed bytes, more than the zip has", archive)
    return [Member(archive, info, root / info.filename) for info in infos]


def _fault(info: zipfile.ZipInfo) -> str | None:
    """What makes a member unfit, None where nothing does."""
    # ZipInfo cuts a name at a zero byte and turns backslashes; what the zip says in truth counts.
    if not KITTI_NAME.fullmatch(info.filename) or info.orig_filename != info.filename:
        return f"expected a name such as {OFFICIAL_EXAMPLE}"
    size, most = info.file_size, MAX_BYTES[Path(info.filename).suffix]
    demands = (
        (stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG), "a plain file, found a link or a device"),
        (not info.flag_bits & ENCRYPTED, "no encryption"),
        (info.compress_type in METHODS, f"it stored or deflated, found method {info.compress_type}"),
        (size <= most, f"at most {most:,} bytes, found {size:,}"),
        (
            size <= MAX_RATIO * max(info.compress_size, 1),
            f"at most {MAX_RATIO} bytes from a packed one, found {size:,}",
        ),
    )
    return next((f"expected {text}" for holds, text in demands if not holds), None)


def _refuse_duplicates(members: Sequence[Member]) -> None:
    seen: dict[Path, Path] = {}
    for member in members:
        if member.target in seen:
            first = seen[member.target]
            raise DataError(f"refused: member {member.info.filename} is in {first} already", member.archive)
        seen[member.target] = member.archive


def _is_there(member: Member) -> bool:
    """Whether the target holds the member's content.

    Raises:
        DataError: it holds something else.
    """
    if not member.target.exists() and not member.target.is_symlink():
        return False
    same = member.target.is_file() and member.target.stat().st_size == member.info.file_size
    if not same or _checksum(member.target) != member.info.CRC:
        raise DataError(f"other content than in {member.archive} is here; move it away first", member.target)
    return True


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def _check_disk(members: Sequence[Member], root: Path) -> None:
    needed = sum(-(-member.info.file_size // BLOCK) * BLOCK for member in members)
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if members and needed + FREE_ALLOWANCE > free:
        wanted = (needed + FREE_ALLOWANCE) / 1e9
        raise DataError(f"expected {wanted:.2f} GB of free disk for {len(members)} files, found {free / 1e9:.2f}", root)


def _extract(stream: zipfile.ZipFile, member: Member) -> None:
    """Write one member; zipfile reads no more than the announced size and compares the checksum at its end."""
    with replacing(member.target) as temporary, stream.open(member.info) as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target, CHUNK)
        if target.tell() != member.info.file_size:
            found = f"{target.tell():,} bytes of {member.info.file_size:,}"
            raise DataError(f"expected a whole zip file: member {member.info.filename} holds {found}", member.archive)
