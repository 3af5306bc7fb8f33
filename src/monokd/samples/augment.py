"""Augmentation: first a plan, drawn from (seed, epoch, index) alone, then its pure application."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from monokd.kitti.boxes3d import wrap_angle
from monokd.kitti.objects import Objects
from monokd.samples.constants import IMAGE_MEAN, IMAGE_STD
from monokd.typing import Bytes, Floats32

# PCA of ImageNet's colours (Krizhevsky et al. 2012): standard deviations, and components as columns.
EIGENVALUES = np.array([0.2141788, 0.01817699, 0.00341571])
EIGENVECTORS = np.array(
    [
        (-0.58752847, -0.69563484, 0.41340352),
        (-0.5832747, 0.00994535, -0.81221408),
        (-0.56089297, 0.71832671, 0.41158938),
    ]
)
GREY = np.array([0.114, 0.587, 0.299])  # of R, G, B: the published code hands an RGB image to a BGR conversion
DEPTH_RANGE_M = 80.0
PLAN_STREAM = 1
CROP_STD = np.array([0.4, 0.1, 0.1])  # of a crop's scale about 1, and of its shift right and down
CROP_BOUND = np.array([0.4, 0.2, 0.2])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How frames of a training are varied."""

    seed: int = 0  # of the run, not negative
    flip: float = 0.5  # probability of mirroring
    crop: float = 0.5  # probability of scaling and shifting
    jitter: bool = True  # vary the colours


@dataclass(frozen=True, slots=True)
class Jitter:
    """Colour jitter of an image in [0, 1]."""

    order: tuple[int, ...]  # the order of brightness 0, contrast 1 and saturation 2
    factors: tuple[float, ...]  # their factors a, in the order brightness, contrast, saturation
    lighting: tuple[float, ...]  # three factors of the colour components' standard deviations


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one frame in one epoch; the default is nothing."""

    flip: bool = False  # mirror left to right
    scale: float = 1.0  # crop size over image size; below 1 zooms in
    shift: tuple[float, float] = (0.0, 0.0)  # the crop centre's shift right and down, over the image's width and height
    jitter: Jitter | None = None  # None leaves the colours


def plan_augmentation(augmentation: Augmentation, epoch: int, index: int) -> Plan:
    """Draw the plan of sample `index` in `epoch`; the same arguments give the same plan in any process.

    Every number is drawn whether used or not, so that one setting does not change what the others draw.
    """
    sequence = np.random.SeedSequence(augmentation.seed, spawn_key=(PLAN_STREAM, epoch, index))
    stream = np.random.Generator(np.random.Philox(sequence))
    flip, crop = stream.random() < augmentation.flip, stream.random() < augmentation.crop
    moves = np.clip(stream.standard_normal(3) * CROP_STD, -CROP_BOUND, CROP_BOUND).tolist()
    factors = 1 + stream.uniform(-0.4, 0.4, 3)
    lighting = stream.normal(0, 0.1, 3)
    order = stream.permutation(3)
    jitter = None
    if augmentation.jitter:
        jitter = Jitter(tuple(order.tolist()), tuple(factors.tolist()), tuple(lighting.tolist()))
    scale, right, down = moves if crop else (0.0, 0.0, 0.0)
    return Plan(bool(flip), 1 + scale, (right, down), jitter)


def crop_of(plan: Plan, width_px: int, height_px: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and size (x, y) of the plan's crop in a W×H image, pixels."""
    centre = width_px / 2 + width_px * plan.shift[0], height_px / 2 + height_px * plan.shift[1]
    return centre, (width_px * plan.scale, height_px * plan.scale)


def mirror_objects(objects: Objects, width_px: int) -> Objects:
    """The objects of the mirrored frame, whose camera is `Calibration.flipped`: boxes, x, ry and alpha."""
    boxes = objects.boxes_px.copy()
    boxes[:, 0], boxes[:, 2] = width_px - objects.boxes_px[:, 2], width_px - objects.boxes_px[:, 0]
    return replace(
        objects,
        boxes_px=boxes,
        locations_m=objects.locations_m * np.array([-1.0, 1.0, 1.0]),
        rotation_y_rad=wrap_angle(np.pi - objects.rotation_y_rad),
        alpha_rad=wrap_angle(np.pi - objects.alpha_rad),
    )


def image_map(image: Bytes, jitter: Jitter | None) -> Floats32:
    """Compose the jitter of a 3×h×w image with ImageNet's mean and standard deviation, for `map_channels`: 3×4.

    Brightness, contrast and saturation blend with the greys of the image as it was before all three, so their
    product is affine in the pixel. Nothing is clipped.
    """
    matrix, offset = np.eye(3), np.zeros(3)
    if jitter is not None:
        sums = np.array([cv2.sumElems(channel)[0] for channel in image])
        mean_grey = float(GREY @ sums) / (255 * image[0].size)
        for kind in jitter.order:
            factor = jitter.factors[kind]
            matrix, offset = factor * matrix, factor * offset
            if kind == 1:
                offset = offset + (1 - factor) * mean_grey
            elif kind == 2:
                matrix = matrix + (1 - factor) * GREY
        offset = offset + EIGENVECTORS @ (EIGENVALUES * np.array(jitter.lighting))
    scaled = np.concatenate((matrix / 255, (offset - IMAGE_MEAN)[:, None]), axis=1) / IMAGE_STD[:, None]
    return scaled.astype(np.float32)


def depth_map(scale: float, *, scaled_twice: bool) -> Floats32:
    """Turn metres into the depth that networks see, for `map_channels`: 3×2, three equal channels.

    `scale` is that of the plan's crop; `scaled_twice` is quirk Q8: metres / 256, as published, instead of metres.
    """
    return np.array([[scale / DEPTH_RANGE_M / (256 if scaled_twice else 1), 0.0]] * 3, dtype=np.float32)


def map_channels(stored: Tensor, maps: Tensor) -> Tensor:
    """Mix the channels of stored images: B×C×H×W of any type to B×3×H×W float32, on whatever device.

    `maps` is B×3×(C+1), a matrix and, last, an offset.
    """
    values = stored.to(torch.float32)
    out = maps[:, :, -1, None, None]
    for channel in range(stored.shape[1]):
        out = torch.addcmul(out, maps[:, :, channel, None, None], values[:, channel : channel + 1])
    return out
