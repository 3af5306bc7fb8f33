"""The `monokd unpack` command; nothing that a zip says can reach outside of the folder."""

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from monokd.errors import DataError, printable
from monokd.files import replacing
from monokd.progress import track

# What the official zips hold, and nothing else: no name can climb out, be absolute or hide a second meaning.
OBJECT_FILE = (
    r"(?:training|testing)/(?:(?:image_[23]|prev_[23])/\d{6}(?:_\d\d)?\.png"
    r"|(?:calib|label_2)/\d{6}\.txt|velodyne/\d{6}\.bin)"
)
DATE, DRIVE = r"\d{4}_\d\d_\d\d", r"\d{4}_\d\d_\d\d_drive_\d{4}_sync"
DRIVE_FILE = rf"{DRIVE}/(?:image_02|velodyne_points|oxts)/(?:\w+\.txt|data/\d{{10}}\.(?:png|bin|txt))"
KITTI_FILE = re.compile(rf"{OBJECT_FILE}|{DATE}/(?:calib_\w+\.txt|{DRIVE_FILE})", flags=re.ASCII)
# Folders, and the cameras of raw drives that nothing here reads.
PASSED_OVER = re.compile(rf"(?:\w+/)+|{DATE}/{DRIVE}/image_0[013]/(?:\w+\.txt|data/\d{{10}}\.png)", flags=re.ASCII)
MAX_BYTES = {".png": 8 << 20, ".txt": 4 << 20, ".bin": 16 << 20}  # several times KITTI's largest files
FREE_ALLOWANCE = 64 << 20  # disk that stays free
EXAMPLE = "training/image_2/000000.png"


def unpack(
    zips: Annotated[list[Path], typer.Argument(help="KITTI's object or raw (synced) zips, as they were downloaded.")],
    root: Annotated[Path, typer.Argument(help="The folder that training and testing, or the dates, go into.")],
) -> None:
    """Unpack KITTI's official zip files, safely; a run that was stopped can be taken up again."""
    made, kept = unpack_archives(zips, root)
    typer.echo(printable(f"{made} unpacked, {kept} kept: {root}"), err=True)


def unpack_archives(archives: Sequence[Path], root: Path) -> tuple[int, int]:
    """Unpack KITTI's zips into `root`; of raw drives the left colour camera, the scans and the poses.

    All zips are looked through before the first byte is written. Every file appears whole or not at all, under its
    checksum; one that is there with the same content is kept; one with other content is never overwritten. Returns how
    many files were written, and how many kept. DataError: no zip, a damaged one, a member that is not one of KITTI's
    files or comes twice, too little disk, or another file in the way.
    """
    members: dict[str, tuple[Path, zipfile.ZipInfo]] = {}
    for archive in archives:
        for info in _members(archive):
            if info.filename in members:
                raise DataError(f"refused: member {info.filename} is in {members[info.filename][0]} already", archive)
            members[info.filename] = archive, info
    missing = [(archive, info) for archive, info in members.values() if not _is_there(archive, info, root)]
    needed = FREE_ALLOWANCE + sum(info.file_size for _, info in missing)
    free = shutil.disk_usage(next(folder for folder in (root, *root.absolute().parents) if folder.exists())).free
    if missing and needed > free:
        reason = f"expected {needed / 1e9:.2f} GB of free disk for {len(missing)} files, found {free / 1e9:.2f}"
        raise DataError(reason, root)
    for archive in archives:
        infos = [info for source, info in missing if source == archive]
        with _opened(archive) as stream:
            for info in track(infos, archive.name, len(infos)):
                with replacing(root / info.filename) as temporary, temporary.open("wb") as target:
                    # zipfile reads no more than the announced size and compares the checksum at its end.
                    shutil.copyfileobj(stream.open(info), target)
    return len(missing), len(members) - len(missing)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The zip; whatever is wrong with its bytes becomes one error."""
    if not archive.is_file():
        raise DataError("expected a zip file, found none", archive)
    try:
        with zipfile.ZipFile(archive) as stream:
            yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"expected a whole zip file: {error}", archive) from error


def _members(archive: Path) -> list[zipfile.ZipInfo]:
    """The files of a zip, all of them checked by what its table of contents says."""
    with _opened(archive) as stream:
        infos = [info for info in stream.infolist() if not PASSED_OVER.fullmatch(info.filename)]
    for info in infos:
        # ZipInfo cuts a name at a zero byte and turns backslashes; what the zip says in truth counts.
        if not KITTI_FILE.fullmatch(info.filename) or info.orig_filename != info.filename:
            raise DataError(f"refused: member {info.orig_filename!r}: expected a name such as {EXAMPLE}", archive)
        most = MAX_BYTES[Path(info.filename).suffix]
        if info.file_size > most:
            reason = f"expected at most {most:,} bytes, found {info.file_size:,}"
            raise DataError(f"refused: member {info.filename}: {reason}", archive)
    if not infos:
        raise DataError(f"expected KITTI's files such as {EXAMPLE}, found none", archive)
    return infos


def _is_there(archive: Path, info: zipfile.ZipInfo, root: Path) -> bool:
    """Whether a member is in its place; something else in that place is an error."""
    path = root / info.filename
    if not path.exists() and not path.is_symlink():
        return False
    same = path.is_file() and path.stat().st_size == info.file_size
    if not same or zlib.crc32(path.read_bytes()) != info.CRC:
        raise DataError(f"other content than in {archive} is here; move it away first", path)
    return True
