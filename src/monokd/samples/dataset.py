"""Frames of a data source as network inputs and targets."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monokd.classes import CLASSES
from monokd.errors import DataError
from monokd.kitti.calibration import Calibration
from monokd.kitti.frames import FrameSource
from monokd.kitti.images import pad_depth, read_image, read_png_header, read_stored_depth
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects
from monokd.progress import worker_count
from monokd.samples.affine import crop_affine, warp_depth, warp_image
from monokd.samples.augment import Augmentation, Plan, crop_of, depth_map, image_map, mirror_objects, plan_augmentation
from monokd.samples.batch import Batch
from monokd.samples.targets import area_average, frame_targets
from monokd.typing import Bytes, Floats, Modality, Uint16s


@dataclass(frozen=True, slots=True)
class InputSettings:
    """What frames become."""

    height_px: int  # of the network's input, a multiple of 32
    width_px: int  # of the network's input, a multiple of 32
    classes: tuple[str, ...] = CLASSES  # names that train
    depth_scaled_twice: bool = True  # quirk Q8: depth inputs are metres / 256, as published, instead of metres
    modalities: tuple[Modality, ...] = ("image", "depth")  # inputs that samples carry, where the frames have them


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame as its files hold it."""

    width_px: int  # of the image
    height_px: int  # of the image
    image: Bytes | None  # H×W×3 RGB; None where no network sees it
    depth: Uint16s | None  # H×W, metres × 256, padded to the image's size; None without a depth folder
    calibration: Calibration  # in single precision
    objects: Objects | None  # in single precision; None without labels


class Frames:
    """Samples by (epoch, index), with the same bits in whatever process and order they are asked for.

    Args:
        source: where the files are.
        frames: ids, in the order of their indices.
        settings: what the frames become.
        depth_dir: dense depth PNGs named by frame, read where targets or a network that sees no image need them; None
            gives samples without depth.
        labels: where boxes for targets come from: True reads the source's labels, a folder holds a detector's result
            files named by frame, False makes no targets.
        axis_headings: headings of a detector's boxes may be off by half a turn.
        augmentation: flip, crop and jitter by (seed, epoch, index); without, every epoch gives the plain frame.
        cache: read and decode every file once, at construction; about 2.3 MB a KITTI frame.

    Raises:
        DataError: no frames, or (with `cache`, else when asked for) files missing or broken.
    """

    def __init__(
        self,
        source: FrameSource,
        frames: Sequence[str],
        settings: InputSettings,
        *,
        depth_dir: Path | None = None,
        labels: Path | bool = False,
        axis_headings: bool = False,
        augmentation: Augmentation | None = None,
        cache: bool = False,
    ) -> None:
        if not frames:
            raise DataError("expected frames, found none")
        self.source, self.frames, self.settings = source, tuple(frames), settings
        needed = labels is not False or any(modality != "image" for modality in settings.modalities)
        self.depth_dir, self.labels, self.augmentation = depth_dir if needed else None, labels, augmentation
        self.axis_headings = axis_headings
        self._cached: list[Frame] | None = None
        if cache:
            with ThreadPoolExecutor(worker_count(0)) as pool:  # decoding leaves Python alone
                self._cached = list(pool.map(self._read, self.frames))

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """Make the sample of (epoch, index)."""
        epoch, index = key
        plan = Plan() if self.augmentation is None else plan_augmentation(self.augmentation, epoch, index)
        return self.apply(index, plan)

    def apply(self, index: int, plan: Plan) -> Batch:
        """Make the sample that a plan makes of frame `index`."""
        frame = self._read(self.frames[index]) if self._cached is None else self._cached[index]
        settings = self.settings
        crop = crop_of(plan, frame.width_px, frame.height_px)
        affine = crop_affine(*crop, width_px=settings.width_px, height_px=settings.height_px)
        calibration, objects = frame.calibration, frame.objects
        if plan.flip:
            calibration = calibration.flipped(frame.width_px)
            objects = None if objects is None else mirror_objects(objects, frame.width_px)
        inputs: dict[Modality, Tensor] = {}
        maps: dict[Modality, Tensor] = {}
        if frame.image is not None:
            image = warp_image(frame.image, affine, flip=plan.flip)
            inputs["image"], maps["image"] = torch.from_numpy(image), torch.from_numpy(image_map(image, plan.jitter))
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
        return Batch(
            (self.frames[index],),
            inputs,
            torch.from_numpy(calibration.P2.astype(np.float32)),
            torch.from_numpy(affine.coord_range_px),
            torch.tensor([frame.width_px, frame.height_px]),
            targets,
            channel_maps=maps,
        )

    def files(self) -> list[Path]:
        """List the files that decide the samples."""
        found: list[Path] = []
        for frame in self.frames:
            found += [self.source.image(frame), self.source.calibration(frame)]
            if self.depth_dir is not None:
                found.append(self.depth_dir / f"{frame}.png")
            if self.labels is not False:
                found.append(self._boxes(frame))
        return found

    def _read(self, frame: str) -> Frame:
        path = self.source.image(frame)
        image, depth, objects = None, None, None
        if "image" in self.settings.modalities:
            image = read_image(path)
            height_px, width_px = image.shape[:2]
        else:  # its size says how depth is padded and cropped
            header = read_png_header(path)
            height_px, width_px = header.height_px, header.width_px
        if self.depth_dir is not None:
            path = self.depth_dir / f"{frame}.png"
            depth = pad_depth(read_stored_depth(path), height_px, width_px, path)
        calibration = self.source.read_calibration(frame)
        calibration = replace(calibration, P2=_rounded(calibration.P2))
        if self.labels is not False:
            objects = (read_labels if self.labels is True else read_results)(self._boxes(frame))
            objects = replace(objects, boxes_px=_rounded(objects.boxes_px), locations_m=_rounded(objects.locations_m))
        return Frame(width_px, height_px, image, depth, calibration, objects)

    def _boxes(self, frame: str) -> Path:
        """Name the file of the frame's boxes."""
        path = self.labels / f"{frame}.txt" if isinstance(self.labels, Path) else self.source.label(frame)
        if path is None:
            raise DataError(f"expected labels, found frames without, such as {frame}")
        return path


class JoinedFrames:
    """Two sets as one, such as frames with labels and frames without; the first one's indices come first."""

    def __init__(self, first: Frames, second: Frames) -> None:
        self.first, self.second = first, second
        self.frames = (*first.frames, *second.frames)

    def __len__(self) -> int:
        """Count the frames of both."""
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """Make the sample of (epoch, index)."""
        epoch, index = key
        start = len(self.first)
        return self.first[epoch, index] if index < start else self.second[epoch, index - start]

    def files(self) -> list[Path]:
        """List the files that decide the samples."""
        return self.first.files() + self.second.files()


SampleSet = Frames | JoinedFrames


def _rounded(values: Floats) -> Floats:
    """To single precision, as the published code reads."""
    return values.astype(np.float32).astype(np.float64)
