"""Where a detector expects objects: its heat map, laid over the whole image."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from monokd.classes import CLASSES
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import load_detector
from monokd.samples.affine import crop_affine
from monokd.samples.batch import collate
from monokd.samples.constants import STRIDE
from monokd.samples.dataset import Frames
from monokd.typing import Floats32


def heat_maps(model: Path, folder: KittiFolder, ids: Sequence[str], *, depth_dir: Path) -> dict[str, Floats32]:
    """Run a detector file on the CPU; frame → h×w from 0 to 1 over its whole image, the largest of its classes' maps.

    `depth_dir` holds ID.png, for a detector that sees depth. Raises DataError where a file is missing or broken.
    """
    detector, info = load_detector(model)
    frames = Frames(folder, ids, info.input_settings(), depth_dir=depth_dir)
    channels = [CLASSES.index(name) for name in info.classes]
    maps = {}
    for index, frame in enumerate(ids):
        batch = collate([frames[0, index]])
        with torch.inference_mode():
            output = detector.eval()(batch.input(info.modality), batch.P2, batch.coord_range_px)
        heat = output.heatmap[0, channels].sigmoid().amax(dim=0).numpy()
        maps[frame] = over_image(heat, *batch.image_size_px[0].int().tolist())
    return maps


def over_image(heat: Floats32, width_px: int, height_px: int) -> Floats32:
    """Move a heat map from the network's input, where it has stride 4, to the image; 0 beyond the input."""
    rows, columns = heat.shape
    centre, size = (width_px / 2, height_px / 2), (float(width_px), float(height_px))
    affine = crop_affine(centre, size, width_px=STRIDE * columns, height_px=STRIDE * rows)
    # From pixels whose centres lie at halves to OpenCV's, whose centres lie at whole numbers.
    to_heat = affine.forward / STRIDE
    to_heat[:, 2] += to_heat[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(heat, to_heat, (width_px, height_px), flags=flags), dtype=np.float32)
