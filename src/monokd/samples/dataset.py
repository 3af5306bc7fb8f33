"""Frames of a KITTI folder as network inputs and targets."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.kitti.frames import read_image, read_stored_depth
from monokd.kitti.labels import read_labels
from monokd.kitti.objects import Objects
from monokd.progress import worker_count
from monokd.samples.affine import crop_affine, warp_depth, warp_image
from monokd.samples.augment import Plan, crop_of, mirror_objects, normalise, plan_augmentation
from monokd.samples.targets import CLASSES, FrameTargets, frame_targets

DEPTH_RANGE_M = 80.0
STORED_STEPS_PER_M = 256


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame as its files hold it.

    Attributes:
        image: H×W×3 RGB.
        depth: H×W, metres × 256, padded to the image's size; None without a depth folder.
        calibration: in single precision.
        objects: in single precision; None without labels.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.uint16] | None
    calibration: Calibration
    objects: Objects | None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame ready to be batched.

    Attributes:
        frame: its id.
        image: 3×H×W normalised RGB.
        depth: H×W teacher input (one of its three equal channels), None without a depth map.
        P2: 3×4 of the camera, mirrored where the frame is.
        coord_range_px: 2×2 corners of the crop in image pixels.
        image_size_px: width, height of the file's image.
        targets: None without labels.
    """

    frame: str
    image: NDArray[np.float32]
    depth: NDArray[np.float32] | None
    P2: NDArray[np.float32]
    coord_range_px: NDArray[np.float32]
    image_size_px: NDArray[np.int64]
    targets: FrameTargets | None


class FrameFiles(Protocol):
    """Where the files of a frame are; `KittiFolder` is one."""

    @property
    def folder(self) -> Path:
        """What a message names."""
        ...

    def image(self, frame: str) -> Path:
        """The image."""
        ...

    def calibration(self, frame: str) -> Path:
        """The calibration text."""
        ...

    def label(self, frame: str) -> Path:
        """The label text."""
        ...


class Frames:
    """Samples by (epoch, index), with the same bits in whatever process and order they are asked for.

    Args:
        folder: where the files are, as a half of a KITTI folder says.
        frames: ids, in the order of their indices.
        depth_dir: dense depth PNGs named by frame; None gives samples without depth.
        labels: read labels and make targets.
        height_px: of the network's input, a multiple of 32.
        width_px: of the network's input, a multiple of 32.
        classes: names that train; Van, Truck and DontCare only draw on Car's heatmap.
        augment: flip, crop and jitter by (seed, epoch, index); otherwise every epoch gives the plain frame.
        seed: of the augmentation.
        flip: probability of mirroring.
        crop: probability of scaling and shifting.
        jitter: colour jitter as part of the augmentation.
        depth_scaled_twice: quirk Q8: the teacher's depth is metres / 256, as published, instead of metres.
        cache: read and decode every file once, at construction; about 2.3 MB a KITTI frame.

    Raises:
        DataError: no frames, or (with `cache`) files missing or broken.
        ValueError: a size that is no multiple of 32.
    """

    def __init__(
        self,
        folder: FrameFiles,
        frames: Sequence[str],
        *,
        depth_dir: Path | None,
        labels: bool,
        height_px: int,
        width_px: int,
        classes: tuple[str, ...] = CLASSES,
        augment: bool = False,
        seed: int = 0,
        flip: float = 0.5,
        crop: float = 0.5,
        jitter: bool = True,
        depth_scaled_twice: bool = True,
        cache: bool = False,
    ) -> None:
        if height_px % 32 or width_px % 32 or min(height_px, width_px) < 32:
            raise ValueError(f"height_px and width_px must be multiples of 32, found {height_px} and {width_px}")
        if not frames:
            raise DataError("expected frames, found none", folder.folder)
        self.folder, self.frames, self.depth_dir, self.labels = folder, tuple(frames), depth_dir, labels
        self.height_px, self.width_px, self.classes = height_px, width_px, classes
        self.augment, self.seed = augment, seed
        self.flip, self.crop, self.jitter = flip, crop, jitter
        self.depth_scaled_twice = depth_scaled_twice
        self._kept = self._read_all() if cache else None

    def __len__(self) -> int:
        """Frames."""
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of (epoch, index).

        Raises:
            DataError: a file is missing or broken.
        """
        epoch, index = key
        plan = self.plan(epoch, index)
        frame = self._read(self.frames[index]) if self._kept is None else self._kept[index]
        return self.apply(self.frames[index], frame, plan)

    def plan(self, epoch: int, index: int) -> Plan:
        """What happens to frame `index` in `epoch`."""
        if not self.augment:
            return Plan()
        chances = {"flip_probability": self.flip, "crop_probability": self.crop}
        return plan_augmentation(self.seed, epoch, index, **chances, jitter=self.jitter)

    def apply(self, name: str, frame: Frame, plan: Plan) -> Sample:
        """The sample that a plan makes of a frame; pure."""
        height, width = frame.image.shape[:2]
        affine = crop_affine(*crop_of(plan, width, height), width_px=self.width_px, height_px=self.height_px)
        calibration, objects = frame.calibration, frame.objects
        if plan.flip:
            calibration = calibration.flipped(width)
            objects = None if objects is None else mirror_objects(objects, width)
        depth = None if frame.depth is None else warp_depth(frame.depth, affine, flip=plan.flip)
        targets = None
        if objects is not None:
            targets = frame_targets(objects, calibration, affine, depth, classes=self.classes)
        if depth is not None:  # metres until here; in place, because fresh pages cost more than the product
            depth *= np.float32(plan.scale / DEPTH_RANGE_M / (STORED_STEPS_PER_M if self.depth_scaled_twice else 1))
        return Sample(
            name,
            normalise(warp_image(frame.image, affine, flip=plan.flip), plan.jitter),
            depth,
            calibration.P2.astype(np.float32),
            affine.coord_range_px,
            np.array([width, height]),
            targets,
        )

    def _read_all(self) -> list[Frame]:
        """Every frame; threads, because decoding leaves Python alone."""
        with ThreadPoolExecutor(worker_count(0)) as pool:
            return list(pool.map(self._read, self.frames))

    def _read(self, frame: str) -> Frame:
        image = read_image(self.folder.image(frame))
        depth = None
        if self.depth_dir is not None:
            path = self.depth_dir / f"{frame}.png"
            depth = pad_depth(read_stored_depth(path), image.shape[0], image.shape[1], path)
        objects = single_precision(read_labels(self.folder.label(frame))) if self.labels else None
        calibration = read_calibration(self.folder.calibration(frame))
        P2 = calibration.P2.astype(np.float32).astype(np.float64)
        return Frame(image, depth, replace(calibration, P2=P2), objects)


def pad_depth(stored: NDArray[np.uint16], height: int, width: int, path: Path) -> NDArray[np.uint16]:
    """A depth map grown to the image by its border: all missing rows on top, columns half left, the rest right.

    Raises:
        DataError: the map is larger than the image.
    """
    rows, columns = height - stored.shape[0], width - stored.shape[1]
    if rows < 0 or columns < 0:
        found = f"{stored.shape[1]}×{stored.shape[0]}"
        raise DataError(f"expected a depth map no larger than its image, {width}×{height}, found {found}", path)
    if rows == 0 and columns == 0:
        return stored
    return np.pad(stored, ((rows, 0), (columns // 2, columns - columns // 2)), mode="edge")


def single_precision(objects: Objects) -> Objects:
    """Boxes and locations rounded to float32, as the published code reads them."""
    return replace(
        objects,
        boxes_px=objects.boxes_px.astype(np.float32).astype(np.float64),
        locations_m=objects.locations_m.astype(np.float32).astype(np.float64),
    )
