"""Unpacking: KITTI's zips arrive whole, hostile ones touch nothing."""

import stat
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from monokd.commands.unpack import unpack_archives
from monokd.errors import DataError
from tests.conftest import tree

FILES = {
    "training/image_2/000000.png": b"\x89PNG" * 400,
    "training/label_2/000000.txt": b"Car 0 0\n" * 30,
    "testing/calib/000000.txt": b"P2: 1\n",
    "training/velodyne/000000.bin": bytes(range(256)) * 40,
    "training/prev_2/000000_01.png": b"\x89PNG",
}


def pack(path: Path, files: dict[str, bytes] | None = None, **settings: int) -> Path:
    """A zip as KITTI's are: entries for folders, files deflated."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        for folder in ("training/", "training/image_2/"):
            stream.writestr(folder, b"")
        for name, content in (FILES if files is None else files).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = settings.get("external_attr", 0)
            stream.writestr(info, content, settings.get("compress_type", zipfile.ZIP_DEFLATED))
    return path


def test_every_file_arrives_and_a_second_run_keeps_them(tmp_path: Path) -> None:
    items = list(FILES.items())
    zips = [pack(tmp_path / "a.zip", dict(items[:2])), pack(tmp_path / "b.zip", dict(items[2:]))]
    assert unpack_archives(zips, tmp_path / "kitti") == (5, 0)
    assert tree(tmp_path / "kitti") == FILES
    (tmp_path / "kitti/training/velodyne/000000.bin").unlink()
    before = (tmp_path / "kitti/training/image_2/000000.png").stat().st_mtime_ns
    assert unpack_archives(zips, tmp_path / "kitti") == (1, 4)
    assert tree(tmp_path / "kitti") == FILES
    assert (tmp_path / "kitti/training/image_2/000000.png").stat().st_mtime_ns == before


RAW = "2011_09_26/2011_09_26_drive_0001_sync"
RAW_FILES = {
    "2011_09_26/calib_cam_to_cam.txt": b"S_rect_02: 1242 375\n",
    f"{RAW}/image_02/data/0000000005.png": b"\x89PNG",
    f"{RAW}/image_02/timestamps.txt": b"2011-09-26\n",
    f"{RAW}/velodyne_points/data/0000000005.bin": bytes(16),
    f"{RAW}/oxts/data/0000000005.txt": b"49.0 8.4\n",
}


def test_raw_drives_arrive_without_the_cameras_that_nothing_reads(tmp_path: Path) -> None:
    other = {f"{RAW}/image_{camera}/data/0000000005.png": b"\x89PNG" for camera in ("00", "01", "03")}
    archive = pack(tmp_path / "2011_09_26_drive_0001_sync.zip", RAW_FILES | other)
    assert unpack_archives([archive], tmp_path / "raw") == (len(RAW_FILES), 0)
    assert tree(tmp_path / "raw") == RAW_FILES


HOSTILE_NAMES = [
    "../evil.txt", "training/label_2/../../../evil.txt", "/etc/evil.txt", "C:/evil.txt", "training/label_2/.bashrc",
    "training/label_2/000000.py", "training/label_2/٠٠٠٠٠٠.txt", "TRAINING/label_2/000000.txt",
    "training//label_2/000000.txt", "training/label_2/000000.txt/", "training/label_2/000000.txt\n",
    "./training/label_2/000000.txt", "__MACOSX/training/label_2/000000.txt", "evil\x1b[2J.txt",
    "2011_09_26/../../calib_evil.txt", f"{RAW}/image_02/data/../../../../../evil.png",
    f"{RAW}/image_02/data/0000000005.sh",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_not_kittis_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    good = pack(tmp_path / "good.zip")
    bad = pack(tmp_path / "bad.zip", {name: b"x", "training/calib/000000.txt": b"P2"})
    with pytest.raises(DataError, match="refused") as raised:
        unpack_archives([good, bad], tmp_path / "kitti")
    assert "\x1b" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "good.zip"]


@pytest.mark.parametrize("name", [rb"training\label_2\000000.txt", b"training/label_2/0000\0.txt"])
def test_a_name_that_readers_of_zips_rewrite_is_refused(name: bytes, tmp_path: Path) -> None:
    """Python's own writer does not write them."""
    plain = "training/label_2/000000.txt"
    bad = pack(tmp_path / "bad.zip", {plain: b"x"})
    bad.write_bytes(bad.read_bytes().replace(plain.encode(), name.ljust(len(plain), b"t")))
    with pytest.raises(DataError, match="refused"):
        unpack_archives([bad], tmp_path / "kitti")


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    one, two = pack(tmp_path / "a.zip"), pack(tmp_path / "b.zip")
    with pytest.raises(DataError, match=r"refused: member training/image_2/000000.png is in .*a\.zip already"):
        unpack_archives([one, two], tmp_path / "kitti")
    with zipfile.ZipFile(one, "a") as stream, pytest.warns(UserWarning, match="Duplicate"):
        stream.writestr("testing/calib/000000.txt", b"other")
    with pytest.raises(DataError, match="already"):
        unpack_archives([one], tmp_path / "kitti")
    assert not (tmp_path / "kitti").exists()


def test_a_bomb_is_refused_by_what_it_announces(tmp_path: Path) -> None:
    bomb = pack(tmp_path / "a.zip", {"training/velodyne/000000.bin": bytes(17 << 20)})
    with pytest.raises(DataError, match=r"expected at most 16,777,216 bytes, found 17,825,792"):
        unpack_archives([bomb], tmp_path / "kitti")
    assert not (tmp_path / "kitti").exists()


def test_a_file_larger_than_announced_is_refused(tmp_path: Path) -> None:
    """The table of contents and the file's own head both lie; the checksum of what was announced does not fit."""
    archive = pack(tmp_path / "a.zip", {"training/calib/000000.txt": bytes(range(200)) * 5})
    content = archive.read_bytes().replace(struct.pack("<I", 1000), struct.pack("<I", 10))
    archive.write_bytes(content)
    with pytest.raises(DataError, match="expected a whole zip file"):
        unpack_archives([archive], tmp_path / "kitti")
    assert tree(tmp_path / "kitti") == {}


def test_links_arrive_as_plain_files(tmp_path: Path) -> None:
    link = (stat.S_IFLNK | 0o777) << 16
    archive = pack(tmp_path / "a.zip", {"training/calib/000000.txt": b"/etc"}, external_attr=link)
    unpack_archives([archive], tmp_path / "kitti")
    assert not (tmp_path / "kitti/training/calib/000000.txt").is_symlink()


def flipped(content: bytes, mark: bytes, at: int) -> bytes:
    """One bit changed, `at` bytes behind the beginning of the last `mark`."""
    changed = bytearray(content)
    changed[content.rindex(mark) + at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: b"", r"a\.zip: expected a whole zip file"),
        (lambda content: content[: len(content) // 2], r"a\.zip: expected a whole zip file"),
        (lambda content: content[:-20], r"a\.zip: expected a whole zip file"),
        (partial(flipped, mark=FILES["training/velodyne/000000.bin"], at=5), "Bad CRC-32"),
        (partial(flipped, mark=b"PK\x01\x02", at=8), "encrypted"),
    ],
)
def test_a_damaged_or_encrypted_zip_is_refused(damage: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    """What was unpacked before a broken file stays, all of it whole."""
    archive = pack(tmp_path / "a.zip", compress_type=zipfile.ZIP_STORED)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match=says):
        unpack_archives([archive], tmp_path / "kitti")
    assert tree(tmp_path / "kitti").items() < FILES.items()


def test_a_file_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    archive, label = pack(tmp_path / "a.zip"), tmp_path / "kitti/training/label_2/000000.txt"
    label.parent.mkdir(parents=True)
    label.write_bytes(b"my own labels\n")
    with pytest.raises(DataError, match="other content than in"):
        unpack_archives([archive], tmp_path / "kitti")
    assert tree(tmp_path / "kitti") == {"training/label_2/000000.txt": b"my own labels\n"}


def test_too_little_disk_is_told_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 64 << 20}))
    with pytest.raises(DataError, match=r"of free disk for 5 files, found 0\.07"):
        unpack_archives([pack(tmp_path / "a.zip")], tmp_path / "kitti")
    assert not (tmp_path / "kitti").exists()


def test_a_zip_without_kittis_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        unpack_archives([pack(tmp_path / "a.zip", {})], tmp_path / "kitti")
    with pytest.raises(DataError, match="expected a zip file, found none"):
        unpack_archives([tmp_path / "absent.zip"], tmp_path / "kitti")
