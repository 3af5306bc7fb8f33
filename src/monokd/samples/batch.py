"""What a training step receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from monokd.samples.dataset import Sample
from monokd.samples.masks import centre_mask
from monokd.samples.targets import STRIDE, FrameTargets


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

    def each(self, move: Callable[[Tensor], Tensor]) -> Targets:
        """The same targets of moved tensors."""
        return Targets(*(move(getattr(self, f.name)) for f in fields(self)))


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
        slots: M int64, where `mask_2d` of the targets holds, as positions in the flattened B×K. Counted here, because
            a GPU would have to be waited for.
        most_slots: the greatest number of them in one frame.
        box_cells: N int64, see `box_cells`; found here for the same reason.
        shares: where batches accumulate, see `monokd.losses.replicas.Replicas`.
        accumulated: how many do.
    """

    frames: tuple[str, ...]
    image: Tensor
    depth: Tensor | None
    P2: Tensor
    coord_range_px: Tensor
    image_size_px: Tensor
    targets: Targets | None
    slots: Tensor | None = None
    most_slots: int = 0
    box_cells: Tensor | None = None
    shares: dict[str, Tensor] | None = None
    accumulated: int = 1

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`; from page-locked memory nobody waits for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; a DataLoader calls this."""
        return self._each(Tensor.pin_memory)

    def _each(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch of moved tensors; of the depth's three equal channels only one travels."""
        return replace(
            self,
            image=move(self.image),
            depth=None if self.depth is None else move(self.depth[:, :1]).expand(-1, 3, -1, -1),
            P2=move(self.P2),
            coord_range_px=move(self.coord_range_px),
            image_size_px=move(self.image_size_px),
            targets=None if self.targets is None else self.targets.each(move),
            slots=None if self.slots is None else move(self.slots),
            box_cells=None if self.box_cells is None else move(self.box_cells),
            shares=None if self.shares is None else {kind: move(share) for kind, share in self.shares.items()},
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
    stacked = _stack_targets(targets) if len(targets) == len(samples) else None
    return Batch(
        tuple(sample.frame for sample in samples),
        _stack([sample.image for sample in samples]),
        _stack(depth)[:, None].expand(-1, 3, -1, -1) if len(depth) == len(samples) else None,
        _stack([sample.P2 for sample in samples]),
        _stack([sample.coord_range_px for sample in samples]),
        _stack([sample.image_size_px for sample in samples]),
        stacked,
        None if stacked is None else stacked.mask_2d.flatten().nonzero()[:, 0],
        0 if stacked is None else int(stacked.mask_2d.sum(1).max()),
        None if stacked is None else box_cells(stacked),
    )


def box_cells(targets: Targets) -> Tensor:
    """Cells whose predicted 2D boxes a loss reads, as ascending positions in the flattened B×h×w.

    These are the peaks that train, and what head distillation compares, with quirk Q9 or without: a few per cent of it.
    """
    height, width = targets.heatmap.shape[-2:]
    read = torch.zeros(targets.mask_2d.shape[0], height * width, dtype=torch.bool)
    for unclipped in (True, False):
        read |= centre_mask(
            targets.head_boxes_px, STRIDE, height, width, targets.object_count, unclipped_masks=unclipped
        ).flatten(1).bool()  # fmt: skip
    frame, slot = targets.mask_2d.nonzero(as_tuple=True)
    read[frame, targets.indices[frame, slot]] = True
    return read.flatten().nonzero()[:, 0]


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    """In a worker process torch stacks straight into memory that the main process shares."""
    stacked: Tensor = default_collate([torch.from_numpy(np.asarray(array)) for array in arrays])
    return stacked


def _stack_targets(targets: Sequence[FrameTargets]) -> Targets:
    return Targets(*(_stack([getattr(one, field.name) for one in targets]) for field in fields(Targets)))
