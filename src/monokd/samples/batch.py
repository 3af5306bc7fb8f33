"""What a training step receives."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(slots=True)
class Targets:
    """Targets of a batch: B frames, K object slots, feature map h×w of stride 4, 7×7 RoI cells.

    Slots without an object hold zeros and `mask_2d` False.

    Attributes:
        heatmap: B×3×h×w, Gaussian peaks at projected 3D centres.
        indices: B×K int64, peak cell as y·w + x.
        mask_2d: B×K bool, slots that train.
        class_ids: B×K int64: Pedestrian 0, Car 1, Cyclist 2.
        boxes_px: B×K×4 left, top, right, bottom of 2D boxes in input-image pixels after augmentation (published
            `box2d_gt`), for foreground masks.
        head_boxes_px: B×K×4, the same for the head distillation's Gaussian masks (published `box2d_gt_head`).
        size_2d: B×K×2 width, height in feature pixels.
        offset_2d: B×K×2, 2D centre − peak, feature pixels.
        offset_3d: B×K×2, projected 3D centre − peak, feature pixels.
        size_3d: B×K×3 height, width, length − class mean, metres.
        heading_bin: B×K int64, 0 to 11.
        heading_residual_rad: B×K.
        depth_m: B×K.
        vis_depth_m: B×K×7×7 dense depth in the 2D box, 0 where not `depth_mask`.
        att_depth_m: B×K×7×7, depth_m − vis_depth_m where `depth_mask`.
        depth_mask: B×K×7×7 bool.
        object_count: B int64, label lines that drew or could have drawn a slot.
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


@dataclass(slots=True)
class Batch:
    """B frames ready for a step.

    Attributes:
        frames: ids, for messages and predictions.
        image: B×3×H×W normalised RGB.
        depth: B×3×H×W teacher input.
        P2: B×3×4 projection, of the mirrored camera where the frame is flipped.
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
