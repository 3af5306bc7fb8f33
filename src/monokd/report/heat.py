"""Where a detector expects objects: its heat map, laid over the whole image."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from monokd.models.detector import Detector
from monokd.samples.affine import crop_affine
from monokd.samples.batch import collate
from monokd.samples.constants import CLASSES
from monokd.samples.dataset import Frames

STRIDE = 4


def heat_maps(detector: Detector, frames: Frames, *, sees_depth: bool) -> dict[str, NDArray[np.float32]]:
    """Frame → h×w from 0 to 1 over its whole image: the largest of the heat maps of `frames.settings.classes`.

    Args:
        detector: on the CPU; it is set to evaluation mode.
        frames: without augmentation.
        sees_depth: the input is the frames' depth, not their image.

    Raises:
        DataError: a frame's file is missing or broken.
    """
    detector.eval()
    ids = [CLASSES.index(name) for name in frames.settings.classes]
    maps = {}
    for index, frame in enumerate(frames.frames):
        batch = collate([frames[0, index]])
        with torch.inference_mode():
            output = detector(batch.input("depth" if sees_depth else "image"), batch.P2, batch.coord_range_px)
        heat = output.heatmap[0, ids].sigmoid().amax(dim=0).numpy()
        width_px, height_px = (int(size) for size in batch.image_size_px[0])
        maps[frame] = over_image(heat, width_px, height_px)
    return maps


def over_image(heat: NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float32]:
    """Move a heat map from the network's input, where it has stride 4, to the image; 0 beyond the input."""
    rows, columns = heat.shape
    whole = (width_px / 2, height_px / 2), (float(width_px), float(height_px))
    affine = crop_affine(*whole, width_px=STRIDE * columns, height_px=STRIDE * rows)
    # From pixels whose centres lie at halves to OpenCV's, whose centres lie at whole numbers.
    to_heat = affine.forward / STRIDE
    to_heat[:, 2] += to_heat[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(heat, to_heat, (width_px, height_px), flags=flags), dtype=np.float32)
