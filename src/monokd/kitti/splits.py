"""Which frames: the field's split of KITTI (Chen et al. 2015), a folder's own lists, frames without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
TRAINVAL_FRAMES = 7481
TEST_FRAMES = 7518
# Bit i, the most significant of each byte first, is 1 where frame i is in train and 0 where it is in val.
TRAIN_BITS = """
    917ee226aa5e53c89ff1bf99dd47f1d574a6ee36be18f8c442a6e35e58c2dc07f4913ca78bb9a24e2632728c421993089600
    8638e5e1f36d40aef32039a04e516ab65b7896cc3427faf0ef37c0c715c6d25e87e9dac7e54557f19a2d339457b821cdfd6d
    00876edef92615ecfb80b3b9af6a634d47c47335a4896a16fedc40c98feacdc8de80e1e53c2946856aa042210dcef304e20c
    ecf919154281a0a2800fb4a47e07d9ff812d0d26ebf43142e9fec66b6e68894fdadaf93a3eb9e693907a1d8b6b52b92c8053
    49da2baa8f6add550def47b9a908189cb3f1986dd36550cfcb16799436ef756048e3693053973bfe6021309f5e7cb7841ae2
    1741a9a3c1c1151df68498a9f0e62d264e05fe3c291baca7b71cbe47331ee94c95df7244c0c645ce7a951307b2d897540e38
    f3ecc4331e5ddc90ff90ed56a41af63905c2d771c314b21ddc05f2eb94a531eb3adb8b39d06dc82b101eb5032922f2fecb93
    3184d7c4b6307b5acfe02b8070b6d2f35cbd26a805ed0d368a20cfed280dcc50598e975e5d68c955f4a83915b69ad4a0ed5a
    c6cd2912365ec4af9b672f76511524c3cf9acc29f05aef9f828007a9914fee1b7b08dd06063c5eea360eee6d18cf69f477ff
    322d50680feab2c9e2f0c707fca664ed7e0fc4a7c7ae89e79d5225f5c5cbbef567591c29c589abc765e59e95f59396b15f75
    060f7bc7151b2eea375a8aa65320b0110714f1010760ffa0e7d898f0577a8d0c66fce91308c28a5ca49e14b13f4619be3631
    84fcc0198866d555b94f088979f6b23c05f1e2b3dc1959a2f4ef06d55915760697833e482087908111d4841736c51b3ce47a
    74c839b86eed07c0668fba625c2bd93424d843944dfd6a91849758ab57513b901c25081dd8fab13f127a422ba184546130d8
    bdf989c99315ae75e68656b70f62248b1818a9fe69268b98fff3fafcc8dba213c38e1294bcdfbccfeb65551e6079c33141e7
    0fdb0ebc8c4f934573336abec6431bf22e620edb4bffbc0d9728e7c1cbde2ff42f7bb48ab1e2881088eacf636d8b96d917d2
    8b117e4094805590c4c9e87a14cdc188db6f5657aa3b3d8dc5d75aede33d749fde89055c7fb19f4397e1c432837507a39687
    e88e360f8211e1fd3109856b1e87423380b5f2a52b1d18d523c7e1de1311ae8e4749d0d9f05af80e69a19b2e041243909a51
    64624df333a69054d51692ae82c59bdb5f1c3586576b91e95a69446cc019ce326aa254022ed6f96a5bc24f1bd9813514efdc
    1254aba92d54f2518e086605e478ecc88f2c283e77ac303ae18a82605d825a1b5c41a900
"""


def official_split(name: SplitName) -> list[str]:
    """Ids of the official split, ascending: train 3,712, val 3,769, trainval 7,481, test 7,518."""
    if name == "test":
        return [f"{number:06d}" for number in range(TEST_FRAMES)]
    packed = np.frombuffer(bytes.fromhex("".join(TRAIN_BITS.split())), dtype=np.uint8)
    in_train = np.unpackbits(packed)[:TRAINVAL_FRAMES].astype(bool)
    chosen = in_train | True if name == "trainval" else in_train == (name == "train")
    return [f"{number:06d}" for number in np.flatnonzero(chosen)]


def split_half(name: str) -> str:
    """The half of a KITTI folder that holds a split: `testing` for test, `training` for every other."""
    return "testing" if name == "test" else "training"


def split_files(root: Path, name: str) -> KittiFolder:
    """Return where the files of a split's frames are."""
    return KittiFolder(root, split_half(name))


def has_labels(name: str) -> bool:
    """Whether a split can be trained on and scored: KITTI keeps the labels of test to itself."""
    return split_half(name) == "training"


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
        known = ", ".join(get_args(SplitName))
        raise DataError(f"expected a file of frame ids, or a split {known}; found neither", listed)
    present = set(split_files(root, name).frames())
    frames = [frame for frame in wanted if frame in present]
    absent = len(wanted) - len(frames)
    if absent and listed.is_file():
        first = min(set(wanted) - present)
        reason = f"expected the {len(wanted)} frames of split {name}, {absent} have no image, first {first}"
        raise DataError(reason, root / split_half(name))
    if not frames:
        raise DataError(f"expected frames of split {name}, found none of {len(wanted)}", root / split_half(name))
    return frames


def unlabelled_frames(
    name: UnlabelledSplit, *, root: Path, raw: Path, every: int = 1, apart_m: float = NEAR_VAL_M
) -> tuple[FrameSource, list[str]]:
    """Choose frames to learn from without labels, none of which tells anything about a val frame.

    Args:
        name: `test`: the object benchmark's testing half. `drives`: raw drives that hold no val frame. `places`: of
            these, only frames away from every val frame, since streets recur in other drives.
        root: the folder that holds `training` and `testing`.
        raw: the folder of raw drives, with the development kit's mapping.
        every: of raw drives, keep the frames whose number this divides.
        apart_m: for `places`, the least distance from a val frame.

    Raises:
        DataError: no such split, drives, mapping or positions, or no frame left.
    """
    if name == "test":
        return KittiFolder(root, "testing"), split_frames(root, "test")
    source, mapping, val = RawDrives(raw), read_mapping(raw), official_split("val")
    frames = [frame for frame in source.frames() if int(frame[-10:]) % every == 0]
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
