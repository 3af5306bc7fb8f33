"""The official split is the field's, and a folder's own lists win."""

import hashlib
from pathlib import Path

import pytest

from monokd.errors import DataError
from monokd.kitti.splits import official_split, split_files, split_frames

TRAIN_SHA256 = "b6417a1d9b18c8fdb085128e633d28ff321b7674a6d1b3841b8f43d865b281cb"
VAL_SHA256 = "657ac4bcc1e156e5b106a4ca18e1f88e012787ea1d2b5d0adeea97fee903fa86"


def _images(root: Path, half: str, frames: list[str]) -> None:
    folder = root / half / "image_2"
    folder.mkdir(parents=True)
    for frame in frames:
        (folder / f"{frame}.png").touch()


def test_official_ids_have_the_known_hashes_and_train_and_val_make_trainval() -> None:
    train, val, both = official_split("train"), official_split("val"), official_split("trainval")
    for ids, expected in ((train, TRAIN_SHA256), (val, VAL_SHA256)):
        assert hashlib.sha256("\n".join(ids).encode()).hexdigest() == expected
    assert (len(train), len(val), len(both), len(official_split("test"))) == (3712, 3769, 7481, 7518)
    assert sorted(train + val) == both == [f"{i:06d}" for i in range(7481)]


def test_part_of_kitti(tmp_path: Path) -> None:
    """Frames 0 and 3 are in train, 1 and 2 in val; what is absent is left out."""
    _images(tmp_path, "training", ["000000", "000001", "000002", "000003"])
    assert split_frames(tmp_path, "train") == ["000000", "000003"]
    assert split_frames(tmp_path, "val") == ["000001", "000002"]


def test_own_list_wins_in_its_order_and_must_be_complete(tmp_path: Path) -> None:
    _images(tmp_path, "training", ["a", "b", "c"])
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets" / "train.txt").write_text("c\na\n")
    assert split_frames(tmp_path, "train") == ["c", "a"]
    (tmp_path / "ImageSets" / "train.txt").write_text("c\nd\n")
    with pytest.raises(DataError, match="1 have no image, first d"):
        split_frames(tmp_path, "train")


def test_test_split_lies_in_testing(tmp_path: Path) -> None:
    _images(tmp_path, "testing", ["000005"])
    assert split_frames(tmp_path, "test") == ["000005"]
    assert (split_files(tmp_path, "test").half, split_files(tmp_path, "train").half) == ("testing", "training")


def test_nothing_left_and_unknown_split_are_errors(tmp_path: Path) -> None:
    _images(tmp_path, "training", ["999999"])
    with pytest.raises(DataError, match="found none of 3712"):
        split_frames(tmp_path, "train")
    with pytest.raises(DataError, match="found neither"):
        split_frames(tmp_path, "mine")
