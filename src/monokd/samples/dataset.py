"""Frames of a data source as network inputs and targets."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from monokd.errors import DataError
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import FrameSource, read_image, read_stored_depth
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.progress import worker_count
from monokd.samples.affine import crop_affine, warp_depth, warp_image
from monokd.samples.augment import Augmentation, Plan, crop_of, depth_map, image_map, mirror_objects, plan_augmentation
from monokd.samples.batch import Sample
from monokd.samples.constants import CLASSES
from monokd.samples.targets import area_average, frame_targets
from monokd.typing import Bytes, Modality, Uint16s


@dataclass(frozen=True, slots=True)
class InputSettings:
    """What frames become.

    Attributes:
        height_px: of the network's input, a multiple of 32.
        width_px: of the network's input, a multiple of 32.
        classes: names that train; Van, Truck and DontCare only draw on Car's heatmap.
        depth_scaled_twice: quirk Q8: depth inputs are metres / 256, as published, instead of metres.
        modalities: inputs that samples carry, where the frames have them.

    Raises:
        ValueError: a size that is no multiple of 32.
    """

    height_px: int
    width_px: int
    classes: tuple[str, ...] = CLASSES
    depth_scaled_twice: bool = True
    modalities: tuple[Modality, ...] = ("image", "depth")

    def __post_init__(self) -> None:
        """Check the size."""
        if self.height_px % 32 or self.width_px % 32 or min(self.height_px, self.width_px) < 32:
            found = f"{self.height_px} and {self.width_px}"
            raise ValueError(f"height_px and width_px must be multiples of 32, found {found}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame as its files hold it.

    Attributes:
        image: H×W×3 RGB.
        depth: H×W, metres × 256, padded to the image's size; None without a depth folder.
        calibration: in single precision.
        objects: in single precision; None without labels.
    """

    image: Bytes
    depth: Uint16s | None
    calibration: Calibration
    objects: Objects | None


class SampleSet(Protocol):
    """Samples by (epoch, index)."""

    frames: tuple[str, ...]

    def __len__(self) -> int:
        """Count the frames."""
        ...

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Make the sample of (epoch, index)."""
        ...

    def files(self) -> list[Path]:
        """List the files that decide the samples."""
        ...


class JoinedFrames:
    """Two sets as one, the first one's indices first.

    Args:
        first: such as the frames with labels.
        second: such as the frames without.
    """

    def __init__(self, first: SampleSet, second: SampleSet) -> None:
        self.first, self.second = first, second
        self.frames = (*first.frames, *second.frames)

    def __len__(self) -> int:
        """Count the frames of both."""
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Make the sample of (epoch, index)."""
        epoch, index = key
        start = len(self.first)
        return self.first[epoch, index] if index < start else self.second[epoch, index - start]

    def files(self) -> list[Path]:
        """List the files that decide the samples."""
        return self.first.files() + self.second.files()


class Frames:
    """Samples by (epoch, index), with the same bits in whatever process and order they are asked for.

    Args:
        source: where the files are.
        frames: ids, in the order of their indices.
        settings: what the frames become.
        depth_dir: dense depth PNGs named by frame; None gives samples without depth.
        labels: where boxes for targets come from: True reads the source's labels, a folder holds a detector's result
            files named by frame, "unknown" makes targets without boxes that ignore every cell, False makes none.
        axis_headings: headings of a detector's boxes may be off by half a turn.
        augmentation: flip, crop and jitter by (seed, epoch, index); without, every epoch gives the plain frame.
        cache: read and decode every file once, at construction; about 2.3 MB a KITTI frame.

    Raises:
        DataError: no frames, or (with `cache`) files missing or broken.
    """

    def __init__(
        self,
        source: FrameSource,
        frames: Sequence[str],
        settings: InputSettings,
        *,
        depth_dir: Path | None = None,
        labels: Path | Literal["unknown"] | bool = False,
        axis_headings: bool = False,
        augmentation: Augmentation | None = None,
        cache: bool = False,
    ) -> None:
        if not frames:
            raise DataError("expected frames, found none")
        self.source, self.frames, self.settings = source, tuple(frames), settings
        self.depth_dir, self.labels, self.augmentation = depth_dir, labels, augmentation
        self.axis_headings = axis_headings
        self._cached = self._read_all() if cache else None

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Make the sample of (epoch, index).

        Raises:
            DataError: a file is missing or broken.
        """
        epoch, index = key
        return self.apply(self.frames[index], self.read(index), self.plan(epoch, index))

    def plan(self, epoch: int, index: int) -> Plan:
        """Draw what happens to frame `index` in `epoch`."""
        return Plan() if self.augmentation is None else plan_augmentation(self.augmentation, epoch, index)

    def read(self, index: int) -> Frame:
        """Return frame `index`, from memory where it is cached.

        Raises:
            DataError: a file is missing or broken.
        """
        return self._read(self.frames[index]) if self._cached is None else self._cached[index]

    def apply(self, name: str, frame: Frame, plan: Plan) -> Sample:
        """Make the sample that a plan makes of a frame; pure."""
        height, width = frame.image.shape[:2]
        settings = self.settings
        crop = crop_of(plan, width, height)
        affine = crop_affine(*crop, width_px=settings.width_px, height_px=settings.height_px)
        calibration, objects = frame.calibration, frame.objects
        if plan.flip:
            calibration = calibration.flipped(width)
            objects = None if objects is None else mirror_objects(objects, width)
        inputs: dict[Modality, Tensor] = {}
        maps: dict[Modality, Tensor] = {}
        if "image" in settings.modalities:
            image = warp_image(frame.image, affine, flip=plan.flip)
            inputs["image"] = torch.from_numpy(image)
            maps["image"] = torch.from_numpy(image_map(image, plan.jitter))
        depth_m = None if frame.depth is None else warp_depth(frame.depth, affine, flip=plan.flip)
        if depth_m is not None and "depth" in settings.modalities:
            inputs["depth"] = torch.from_numpy(depth_m)[None]
            maps["depth"] = torch.from_numpy(depth_map(plan.scale, scaled_twice=settings.depth_scaled_twice))
        targets = None
        if objects is not None:
            cells_m = None if depth_m is None else area_average(depth_m)
            targets = frame_targets(
                objects, calibration, affine, cells_m, classes=settings.classes, axis_headings=self.axis_headings
            )
            if self.labels == "unknown":
                targets.ignore.fill_(True)
        return Sample(
            name,
            inputs,
            maps,
            torch.from_numpy(calibration.P2.astype(np.float32)),
            torch.from_numpy(affine.coord_range_px),
            torch.tensor([width, height]),
            targets,
        )

    def files(self) -> list[Path]:
        """List the files that decide the samples."""
        found: list[Path] = []
        for frame in self.frames:
            found += [self.source.image(frame), self.source.calibration(frame)]
            if self.depth_dir is not None:
                found.append(self.depth_dir / f"{frame}.png")
            if isinstance(self.labels, Path):
                found.append(self.labels / f"{frame}.txt")
            elif self.labels is True:
                found.append(self._label(frame))
        return found

    def _read_all(self) -> list[Frame]:
        """Read every frame; in threads, because decoding leaves Python alone."""
        with ThreadPoolExecutor(worker_count(0)) as pool:
            return list(pool.map(self._read, self.frames))

    def _read(self, frame: str) -> Frame:
        image = read_image(self.source.image(frame))
        depth = None
        if self.depth_dir is not None:
            path = self.depth_dir / f"{frame}.png"
            depth = pad_depth(read_stored_depth(path), image.shape[0], image.shape[1], path)
        calibration = self.source.read_calibration(frame)
        P2 = calibration.P2.astype(np.float32).astype(np.float64)
        return Frame(image, depth, replace(calibration, P2=P2), self._objects(frame))

    def _label(self, frame: str) -> Path:
        path = self.source.label(frame)
        if path is None:
            raise DataError(f"expected labels, found frames without, such as {frame}")
        return path

    def _objects(self, frame: str) -> Objects | None:
        """Read the frame's boxes."""
        if not self.labels:
            return None
        if self.labels == "unknown":
            return from_rows((), np.zeros((0, 15)))
        if isinstance(self.labels, Path):
            return single_precision(read_results(self.labels / f"{frame}.txt"))
        return single_precision(read_labels(self._label(frame)))


def pad_depth(stored: Uint16s, height: int, width: int, path: Path) -> Uint16s:
    """Grow a depth map to the image by its border: all missing rows on top, columns half left, the rest right.

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
    """Round boxes and locations to float32, as the published code reads them."""
    return replace(
        objects,
        boxes_px=objects.boxes_px.astype(np.float32).astype(np.float64),
        locations_m=objects.locations_m.astype(np.float32).astype(np.float64),
    )
