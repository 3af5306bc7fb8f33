"""A tiny folder in KITTI's layout, made of noise and of objects whose targets can be worked out by hand."""

import cv2
import numpy as np
import pytest
import torch

from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.frames import KittiFolder
from monokd.samples.batch import Batch, tensors_of

P2 = np.array([[720.0, 0, 624, 45], [0, 720, 190, 0.25], [0, 0, 1, 0.0]])
FRAMES = tuple(f"{number:06d}" for number in range(7))
CAR = "Car 0.00 0 0.00 560.00 150.00 720.00 230.00 1.50 1.60 3.90 {x:.2f} 1.50 {z:.2f} 0.30"


def same(a: Batch, b: Batch) -> bool:
    """Whether two batches are equal to the bit."""
    pairs = zip(tensors_of(a), tensors_of(b), strict=True)
    return a.frames == b.frames and all(torch.equal(left, right) for left, right in pairs)


@pytest.fixture(scope="session")
def small_kitti(tmp_path_factory: pytest.TempPathFactory) -> KittiFolder:
    """Seven frames of 1248×384 with depth maps in `depth`, the last one 5 rows and 3 columns smaller."""
    folder = KittiFolder(tmp_path_factory.mktemp("kitti"))
    rng = np.random.default_rng(0)
    for kind in ("image_2", "calib", "label_2", "depth"):
        (folder.folder / kind).mkdir(parents=True)
    for i, frame in enumerate(FRAMES):
        small = rng.integers(0, 256, (24, 78, 3), dtype=np.uint8)
        cv2.imwrite(str(folder.image(frame)), cv2.resize(small, (1248, 384)))
        size = (379, 1245) if i == len(FRAMES) - 1 else (384, 1248)
        depth = rng.integers(1, 80 * 256, size, dtype=np.uint16)
        cv2.imwrite(str(folder.folder / "depth" / f"{frame}.png"), depth)
        write_calibration(folder.calibration(frame), Calibration(P2, np.eye(3), np.eye(3, 4)))
        lines = [CAR.format(x=0.0, z=15.0 + i), CAR.format(x=0.5, z=18.0 + i)]
        folder.label(frame).write_text("\n".join(lines) + "\n")
    return folder
