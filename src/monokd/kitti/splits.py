"""Which frames: the field's split of KITTI (Chen et al. 2015), a folder's own lists, frames without labels."""

import base64
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from monokd.errors import DataError
from monokd.kitti.frames import FrameSource, KittiFolder, read_split
from monokd.kitti.raw import RawDrives, drive_of, read_mapping
from monokd.typing import Bools, Floats

SplitName = Literal["train", "val", "trainval", "test"]
UnlabelledSplit = Literal["test", "drives", "places"]
NEAR_VAL_M = 50.0
NEAR_VAL = "near_val"  # a list of testing frames that look like a val frame (monokd.kitti.near_val)
TRAINVAL_FRAMES = 7481
TEST_FRAMES = 7518
# In base64: bit i, the most significant of each byte first, is 1 where frame i is in train and 0 where it is in val.
TRAIN_BITS = """
    kX7iJqpeU8if8b+Z3Ufx1XSm7ja+GPjEQqbjXljC3Af0kTyni7miTiYycoxCGZMIlgCGOOXh821ArvMgOaBOUWq2W3iWzDQn+vDvN8DHFcbSXofp2sfl
    RVfxmi0zlFe4Ic39bQCHbt75JhXs+4Czua9qY01HxHM1pIlqFv7cQMmP6s3I3oDh5TwpRoVqoEIhDc7zBOIM7PkZFUKBoKKAD7SkfgfZ/4EtDSbr9DFC
    6f7Ga25oiU/a2vk6Prnmk5B6HYtrUrksgFNJ2iuqj2rdVQ3vR7mpCBics/GYbdNlUM/LFnmUNu91YEjjaTBTlzv+YCEwn158t4Qa4hdBqaPBwRUd9oSY
    qfDmLSZOBf48KRusp7ccvkczHulMld9yRMDGRc56lRMHstiXVA448+zEMx5d3JD/kO1WpBr2OQXC13HDFLId3AXy65SlMes624s50G3IKxAetQMpIvL+
    y5MxhNfEtjB7Ws/gK4BwttLzXL0mqAXtDTaKIM/tKA3MUFmOl15daMlV9Kg5Fbaa1KDtWsbNKRI2XsSvm2cvdlEVJMPPmswp8Frvn4KAB6mRT+4bewjd
    BgY8Xuo2Du5tGM9p9Hf/Mi1QaA/qssni8McH/KZk7X4PxKfHronnnVIl9cXLvvVnWRwpxYmrx2XlnpX1k5axX3UGD3vHFRsu6jdaiqZTILARBxTxAQdg
    /6Dn2JjwV3qNDGb86RMIwopcpJ4UsT9GGb42MYT8wBmIZtVVuU8IiXn2sjwF8eKz3BlZovTvBtVZFXYGl4M+SCCHkIER1IQXNsUbPOR6dMg5uG7tB8Bm
    j7piXCvZNCTYQ5RN/WqRhJdYq1dRO5AcJQgd2PqxPxJ6QiuhhFRhMNi9+YnJkxWudeaGVrcPYiSLGBip/mkmi5j/8/r8yNuiE8OOEpS837zP62VVHmB5
    wzFB5w/bDryMT5NFczNqvsZDG/IuYg7bS/+8DZco58HL3i/0L3u0irHiiBCI6s9jbYuW2RfSixF+QJSAVZDEyeh6FM3BiNtvVleqOz2Nxdda7eM9dJ/e
    iQVcf7GfQ5fhxDKDdQejlofojjYPghHh/TEJhWseh0IzgLXypSsdGNUjx+HeExGujkdJ0NnwWvgOaaGbLgQSQ5CaUWRiTfMzppBU1RaSroLFm9tfHDWG
    V2uR6VppRGzAGc4yaqJUAi7W+Wpbwk8b2YE1FO/cElSrqS1U8lGOCGYF5HjsyI8sKD53rDA64YqCYF2CWhtcQakA
"""


def official_split(name: SplitName) -> list[str]:
    """Ids of the official split, ascending: train 3,712, val 3,769, trainval 7,481, test 7,518."""
    if name == "test":
        return [f"{number:06d}" for number in range(TEST_FRAMES)]
    packed = np.frombuffer(base64.b64decode(TRAIN_BITS), dtype=np.uint8)
    in_train = np.unpackbits(packed)[:TRAINVAL_FRAMES].astype(bool)
    chosen = in_train | True if name == "trainval" else in_train == (name == "train")
    return [f"{number:06d}" for number in np.flatnonzero(chosen)]


def has_labels(name: str) -> bool:
    """Whether a split can be trained on and scored: KITTI keeps the labels of test to itself."""
    return name not in ("test", NEAR_VAL)


def split_files(root: Path, name: str) -> KittiFolder:
    """Return where the files of a split's frames are: in `testing` for test, in `training` for every other."""
    return KittiFolder(root, "training" if has_labels(name) else "testing")


def split_frames(root: Path, name: str) -> list[str]:
    """Ids of a split: ROOT/ImageSets/NAME.txt where it exists, else the official split.

    Frames of the official split that have no image are left out, as in a part of KITTI; in a list of one's own they
    are an error.

    Raises:
        DataError: no such split, no image folder, a missing frame, or no frame left.
    """
    listed = root / "ImageSets" / f"{name}.txt"
    if listed.is_file():
        wanted = read_split(listed)
    elif name in get_args(SplitName):
        wanted = official_split(cast(SplitName, name))
    else:
        known, others = (", ".join(get_args(kind)) for kind in (SplitName, UnlabelledSplit))
        reason = f"or a split {known} (unlabelled: {others}); found neither"
        raise DataError(f"expected a file of frame ids, {reason}", listed)
    files = split_files(root, name)
    present = set(files.frames())
    frames = [frame for frame in wanted if frame in present]
    absent = len(wanted) - len(frames)
    if absent and listed.is_file():
        reason = f"{absent} have no image, first {min(set(wanted) - present)}"
        raise DataError(f"expected the {len(wanted)} frames of split {name}, {reason}", files.folder)
    if not frames:
        raise DataError(f"expected frames of split {name}, found none of {len(wanted)}", files.folder)
    return frames


def unlabelled_frames(
    name: UnlabelledSplit,
    *,
    root: Path,
    raw: Path,
    every: int = 1,
    apart_m: float = NEAR_VAL_M,
    scored: Collection[str] = (),
) -> tuple[FrameSource, list[str]]:
    """Choose frames to learn from without labels, none of which tells anything about a val frame.

    `test` is the testing half of the object benchmark in `root`, less what ImageSets/near_val.txt lists. `drives` are
    the drives in `raw` (with the development kit's mapping) that hold no frame of the official val split, nor a
    `scored` one; of them the frames whose number `every` divides. `places` are those of them at least `apart_m` from
    all these frames, since streets recur.

    Raises:
        DataError: no such split, drives, mapping or positions, or no frame left.
    """
    if name == "test":
        listed = root / "ImageSets" / f"{NEAR_VAL}.txt"
        near = set(read_split(listed)) if listed.is_file() else set()
        return KittiFolder(root, "testing"), [frame for frame in split_frames(root, "test") if frame not in near]
    source, val = RawDrives(raw), sorted({*official_split("val"), *scored})
    frames = [frame for frame in source.frames() if int(frame[-10:]) % every == 0]
    mapping = read_mapping(raw)
    frames = outside_val_drives(frames, mapping, val)
    if name == "places" and frames:
        val_m = source.positions_m([mapping[frame] for frame in val])
        far = far_from(source.positions_m(frames), val_m, apart_m)
        frames = [frames[i] for i in np.flatnonzero(far)]
    if not frames:
        raise DataError(f"expected frames of split {name}, found none", raw)
    return source, frames


def outside_val_drives(frames: Sequence[str], mapping: Mapping[str, str], val: Sequence[str]) -> list[str]:
    """Keep the raw frames whose drive holds no val frame; a mapping (`read_mapping`) that lacks one is a DataError."""
    unmapped = [frame for frame in val if frame not in mapping]
    if unmapped:
        raise DataError(f"mapping: expected every val frame, found {len(unmapped)} missing, first {unmapped[0]}")
    closed = {drive_of(mapping[frame]) for frame in val}
    return [frame for frame in frames if drive_of(frame) not in closed]


def far_from(points_m: Floats, others_m: Floats, apart_m: float) -> Bools:
    """Find which of N×2 points are at least `apart_m` from every one of M×2 others."""
    far = np.ones(len(points_m), dtype=bool)
    for start in range(0, len(points_m), 1024):  # N×M distances would not fit into memory
        step = points_m[start : start + 1024, None] - others_m[None]
        far[start : start + 1024] = (np.hypot(step[..., 0], step[..., 1]) >= apart_m).all(axis=1)
    return far
