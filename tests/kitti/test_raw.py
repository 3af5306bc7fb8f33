"""Raw drives: frames in place, a date's calibration, and what may be learnt from without telling about val."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from monokd.depth.folder import densify_folder
from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import FRAME_ID, KittiFolder, read_velodyne
from monokd.kitti.images import read_depth, read_image
from monokd.kitti.raw import RawDrives, drive_of, read_mapping
from monokd.kitti.splits import far_from, official_split, outside_val_drives, unlabelled_frames
from tests.kitti.worlds import DRIVE, write_calibration, write_drive, write_mapping

OTHER = "2011_09_30_drive_0016_sync"
VAL_DRIVES = {
    "2011_09_26": "0002 0009 0014 0017 0022 0023 0032 0039 0052 0064 0070 0086 0093 0095 0101",
    "2011_09_28": "0002 0035 0039 0045 0053 0054 0065 0070 0071 0082 0089 0100 0113 0125 0132 0146 0153 0168 0171 0174 "
    "0177 0183 0191 0192 0209 0220 0222",
    "2011_09_29": "0026 0071",
    "2011_10_03": "0047",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_calibration(tmp_path)
    write_calibration(tmp_path, "2011_09_30", focal_px=70.0)
    write_drive(tmp_path, DRIVE, [0, 1, 2, 5])
    write_drive(tmp_path, OTHER, [3], width_px=122)
    return tmp_path


def test_frames_have_an_image_and_a_scan_and_ids_that_can_name_files(root: Path) -> None:
    source = RawDrives(root)
    source.velodyne(f"{DRIVE}_0000000002").unlink()
    (root / f"2011_09_26/{DRIVE}/image_02/data/.0000000009.png").touch()
    assert source.drives() == [DRIVE, OTHER]
    expected = [f"{DRIVE}_{number:010d}" for number in (0, 1, 5)] + [f"{OTHER}_0000000003"]
    assert source.frames() == expected
    assert all(FRAME_ID.fullmatch(frame) for frame in expected)
    assert source.label(expected[0]) is None
    assert read_image(source.image(expected[3])).shape == (37, 122, 3)
    assert read_velodyne(source.velodyne(expected[2])).shape == (1080, 4)


def test_calibration_is_the_dates(root: Path) -> None:
    """P2 of camera 2, the rotation of camera 0, the scanner's pose."""
    first, second = (RawDrives(root).read_calibration(f"{drive}_0000000003") for drive in (DRIVE, OTHER))
    np.testing.assert_array_equal(first.P2, [[72, 0, 62, 4.5], [0, 72, 18, 0.2], [0, 0, 1, 0.003]])
    np.testing.assert_array_equal(first.R0_rect, np.eye(3))
    np.testing.assert_array_equal(first.Tr_velo_to_cam, [[0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
    assert second.P2[0, 0] == 70


def test_what_is_missing_or_no_frame_is_named(root: Path) -> None:
    with pytest.raises(DataError, match="expected raw drives"):
        RawDrives(root / "absent").frames()
    with pytest.raises(DataError, match=r"expected a frame such as 2011_.*, found '000007'"):
        RawDrives(root).image("000007")
    (root / "2011_09_26/calib_velo_to_cam.txt").write_text("R: 1 0 0 0 1 0 0 0 1\n")
    with pytest.raises(DataError, match=r"calib_velo_to_cam\.txt: expected a line 'T: …', found none"):
        RawDrives(root).read_calibration(f"{DRIVE}_0000000000")


def test_mapping_by_hand(tmp_path: Path) -> None:
    frames = [f"{DRIVE}_{number:010d}" for number in (7, 3, 5)]
    write_mapping(tmp_path / "devkit/mapping", frames)
    assert read_mapping(tmp_path) == dict(zip(("000000", "000001", "000002"), frames, strict=True))
    for text in ("1,2", "1,2,2", "1,2,4", "x"):
        (tmp_path / "devkit/mapping/train_rand.txt").write_text(text)
        with pytest.raises(DataError, match="expected the numbers 1 to 3, each once"):
            read_mapping(tmp_path)
    (tmp_path / "devkit/mapping/train_mapping.txt").write_text("2011_09_26 a 5\n")
    with pytest.raises(DataError, match=r"train_mapping\.txt:1: expected a date, a drive"):
        read_mapping(tmp_path)
    with pytest.raises(DataError, match="no such mapping"):
        read_mapping(tmp_path / "absent")


VAL, TRAIN, NEAR, FAR = (f"2011_09_26_drive_000{i}_sync" for i in range(1, 5))


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """All 7,481 object frames in a val and a train drive (frame 0 of each on the disk), and two other drives."""
    val = set(official_split("val"))
    names = [f"{i:06d}" for i in range(7481)]
    write_mapping(tmp_path / "mapping", [f"{VAL if name in val else TRAIN}_{0:010d}" for name in names])
    write_drive(tmp_path, VAL, [0, 1])
    write_drive(tmp_path, TRAIN, [0, 1], place=(49.01, 8.4))
    write_drive(tmp_path, NEAR, [0, 4, 7], place=(49.0003, 8.4))  # 33 m north
    write_drive(tmp_path, FAR, [0, 4, 7], place=(49.0, 8.41))  # 730 m east
    return tmp_path


def test_no_frame_of_a_val_drive_enters(drives: Path) -> None:
    source, frames = unlabelled_frames("drives", root=drives, raw=drives)
    assert isinstance(source, RawDrives)
    assert {drive_of(frame) for frame in frames} == {TRAIN, NEAR, FAR}
    assert len(frames) == 8
    scored = unlabelled_frames("drives", root=drives, raw=drives, scored=["000000"])[1]  # of the official train split
    assert {drive_of(frame) for frame in scored} == {NEAR, FAR}
    with pytest.raises(DataError, match="expected every val frame, found 1 missing, first 100000"):
        unlabelled_frames("drives", root=drives, raw=drives, scored=["100000"])
    thinned = unlabelled_frames("drives", root=drives, raw=drives, every=4)[1]
    assert [frame[-2:] for frame in thinned] == ["00", "00", "04", "00", "04"]


def test_no_frame_near_a_val_frame_enters(drives: Path) -> None:
    found = unlabelled_frames("places", root=drives, raw=drives)[1]
    assert {drive_of(frame) for frame in found} == {TRAIN, FAR}
    nearer = unlabelled_frames("places", root=drives, raw=drives, apart_m=30.0)[1]
    assert {drive_of(frame) for frame in nearer} == {TRAIN, NEAR, FAR}
    shutil.rmtree(drives / "2011_09_26" / VAL)
    with pytest.raises(DataError, match="no such oxts file"):  # else val frames would count as nowhere
        unlabelled_frames("places", root=drives, raw=drives)


def test_the_testing_half_and_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "testing/image_2").mkdir(parents=True)
    (tmp_path / "testing/image_2/000005.png").touch()
    assert unlabelled_frames("test", root=tmp_path, raw=tmp_path) == (KittiFolder(tmp_path, "testing"), ["000005"])
    with pytest.raises(DataError, match="1 missing, first 000002"):
        outside_val_drives([], {"000001": f"{DRIVE}_0000000000"}, ["000001", "000002"])


def test_distances_by_hand_and_against_all_pairs() -> None:
    points, others = np.random.default_rng(0).uniform(0, 100, (3000, 2)), np.array([[50.0, 50.0], [0.0, 0.0]])
    expected = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1) >= 20
    np.testing.assert_array_equal(far_from(points, others, 20.0), expected)
    assert far_from(np.array([[3.0, 4.0]]), np.zeros((1, 2)), 5.0).all()


@pytest.fixture
def real_mapping(kitti_raw_dir: Path, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "mapping").symlink_to(kitti_raw_dir / "devkit_mapping")
    return read_mapping(tmp_path)


def test_the_real_mapping_closes_the_45_val_drives(real_mapping: dict[str, str]) -> None:
    assert real_mapping["000000"] == "2011_09_28_drive_0106_sync_0000000048"
    assert real_mapping["007480"] == "2011_09_26_drive_0023_sync_0000000258"
    listed = {f"{date}_drive_{n}_sync" for date, numbers in VAL_DRIVES.items() for n in numbers.split()}
    val = official_split("val")
    assert {drive_of(real_mapping[frame]) for frame in val} == listed
    assert len(listed) == 45
    kept = outside_val_drives(list(real_mapping.values()), real_mapping, val)
    assert sorted(kept) == sorted(real_mapping[frame] for frame in official_split("train"))
    free = ["2011_09_30_drive_0016_sync_0000000000", "2011_10_03_drive_0042_sync_0000000000"]
    assert outside_val_drives(free, real_mapping, val) == free  # drives without any frame of the object benchmark


def test_twelve_real_frames(kitti_raw_dir: Path, kitti_dir: Path, tmp_path: Path) -> None:
    """Their calibration is that of an object frame of the same date (000001, drive 0101)."""
    source = RawDrives(kitti_raw_dir)
    frames = source.frames()
    assert len(frames) == 12
    made = source.read_calibration(frames[0])
    same = read_calibration(kitti_dir / "training/calib/000001.txt")
    for name in ("P2", "R0_rect", "Tr_velo_to_cam"):
        np.testing.assert_array_equal(getattr(made, name), getattr(same, name))
    assert read_image(source.image(frames[-1])).shape == (375, 1242, 3)
    assert densify_folder(source, tmp_path, frames[:1], workers=1).made == 1
    assert (read_depth(tmp_path / f"{frames[0]}.png") > 0).mean() > 0.5
