"""What a training step receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from monokd.samples.dataset import Sample
from monokd.samples.targets import FrameTargets


@dataclass(slots=True)
class Targets:
    """Targets of a batch: B frames, K object slots, feature map h×w of stride 4, 7×7 RoI cells.

    Slot k belongs to label line k. Lines that do not train (class, level, nearer than 2 m, peak off the map) leave
    their slot at zeros and `mask_2d` False, in the middle of others; select with `mask_2d`.

    Attributes:
        heatmap: B×3×h×w, Gaussian peaks at projected 3D centres.
        indices: B×K int64, peak cell as y·w + x.
        mask_2d: B×K bool, slots that train.
        class_ids: B×K int64: Pedestrian 0, Car 1, Cyclist 2.
        boxes_px: B×K×4 left, top, right, bottom of 2D boxes in network-input pixels after augmentation (published
            `box2d_gt`), for foreground masks. Not clipped: boxes reach past the input, and a box whose peak is off
            the map stands here too although its `mask_2d` is False. All zeros where the line does not train.
        head_boxes_px: B×K×4, the same for the head distillation's Gaussian masks (published `box2d_gt_head`).
        size_2d: B×K×2 width, height in feature pixels.
        offset_2d: B×K×2, 2D centre − peak, feature pixels.
        offset_3d: B×K×2, projected 3D centre − peak, feature pixels.
        size_3d: B×K×3 height, width, length − class mean, metres.
        heading_bin: B×K int64, 0 to 11.
        heading_residual_rad: B×K.
        depth_m: B×K.
        vis_depth_m: B×K×7×7 dense depth in the 2D box, 0 where not `depth_mask`.
        att_depth_m: B×K×7×7, depth_m − vis_depth_m, so depth_m itself where not `depth_mask`.
        depth_mask: B×K×7×7 bool.
        object_count: B int64, the frame's label lines of any class, at most K (published `obj_num`: the masks of the
            published distillation visit that many slots, empty ones included).
    """

    heatmap: Tensor
    indices: Tensor
    mask_2d: Tensor
    class_ids: Tensor
    boxes_px: Tensor
    head_boxes_px: Tensor
    size_2d: Tensor
    offset_2d: Tensor
    offset_3d: Tensor
    size_3d: Tensor
    heading_bin: Tensor
    heading_residual_rad: Tensor
    depth_m: Tensor
    vis_depth_m: Tensor
    att_depth_m: Tensor
    depth_mask: Tensor
    object_count: Tensor

    def to(self, device: torch.device) -> Targets:
        """The same targets on `device`."""
        return Targets(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def pin_memory(self) -> Targets:
        """The same targets in page-locked memory."""
        return Targets(*(getattr(self, f.name).pin_memory() for f in fields(self)))


@dataclass(slots=True)
class Batch:
    """B frames ready for a step.

    Attributes:
        frames: ids, for messages and predictions.
        image: B×3×H×W normalised RGB.
        depth: B×3×H×W teacher input, three equal channels (an expanded view until it is moved or written).
        P2: B×3×4 float32 projection, of the mirrored camera where the frame is flipped.
        coord_range_px: B×2×2, top-left and bottom-right of the crop in image pixels.
        image_size_px: B×2 width, height of the file's image.
        targets: absent at prediction.
    """

    frames: tuple[str, ...]
    image: Tensor
    depth: Tensor | None
    P2: Tensor
    coord_range_px: Tensor
    image_size_px: Tensor
    targets: Targets | None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(
            self.frames,
            self.image.to(device, non_blocking=True),
            None if self.depth is None else self.depth.to(device, non_blocking=True),
            self.P2.to(device, non_blocking=True),
            self.coord_range_px.to(device, non_blocking=True),
            self.image_size_px.to(device, non_blocking=True),
            None if self.targets is None else self.targets.to(device),
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; a DataLoader calls this."""
        return Batch(
            self.frames,
            self.image.pin_memory(),
            None if self.depth is None else self.depth.pin_memory(),
            self.P2.pin_memory(),
            self.coord_range_px.pin_memory(),
            self.image_size_px.pin_memory(),
            None if self.targets is None else self.targets.pin_memory(),
        )


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples in their order; depth and targets are there if every sample has them.

    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("expected at least one sample, found none")
    depth = [sample.depth for sample in samples if sample.depth is not None]
    targets = [sample.targets for sample in samples if sample.targets is not None]
    return Batch(
        tuple(sample.frame for sample in samples),
        _stack([sample.image for sample in samples]),
        _stack(depth)[:, None].expand(-1, 3, -1, -1) if len(depth) == len(samples) else None,
        _stack([sample.P2 for sample in samples]),
        _stack([sample.coord_range_px for sample in samples]),
        _stack([sample.image_size_px for sample in samples]),
        _stack_targets(targets) if len(targets) == len(samples) else None,
    )


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    """In a worker process torch stacks straight into memory that the main process shares."""
    stacked: Tensor = default_collate([torch.from_numpy(np.asarray(array)) for array in arrays])
    return stacked


def _stack_targets(targets: Sequence[FrameTargets]) -> Targets:
    return Targets(*(_stack([getattr(one, field.name) for one in targets]) for field in fields(Targets)))
