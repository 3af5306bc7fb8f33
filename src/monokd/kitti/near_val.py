"""Frames of the testing half that look like a val frame: from which drives that half is was never published."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from monokd.files import write_text
from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_image
from monokd.kitti.splits import NEAR_VAL, split_frames
from monokd.progress import map_frames
from monokd.typing import Floats32

SIZE_PX = 40, 12
# Of thumbnails. Frames of one drive 0.7 s apart: 0.85 to 1.00. Of 231 pairs of frames from anywhere: at most 0.73.
NEAR = 0.85


def write_near_val(root: Path, workers: int) -> list[str]:
    """Write the testing frames that look like a frame of val to ROOT/ImageSets/near_val.txt, and return them.

    Raises:
        DataError: a half without frames, or a broken image.
    """
    test, val = split_frames(root, "test"), split_frames(root, "val")
    ours, theirs = (
        np.stack(map_frames(partial(thumbnail, KittiFolder(root, half)), frames, f"thumbnails {half}", workers))
        for half, frames in (("testing", test), ("training", val))
    )
    near = [frame for frame, likeness in zip(test, (ours @ theirs.T).max(axis=1), strict=True) if likeness >= NEAR]
    path = root / "ImageSets" / f"{NEAR_VAL}.txt"
    if near:
        write_text(path, "".join(f"{frame}\n" for frame in near))
    else:
        path.unlink(missing_ok=True)
    return near


def thumbnail(files: KittiFolder, frame: str) -> Floats32:
    """Shrink a frame's image to 480 grey values of mean 0 and length 1: their products are correlations."""
    grey = cv2.cvtColor(read_image(files.image(frame)), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, SIZE_PX, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)
