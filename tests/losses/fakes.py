"""Small random detector outputs and targets of the right shapes."""

import torch
from torch import Tensor

from monokd.models.outputs import DetectorOutput, RoiOutput, Rois
from monokd.samples.batch import Targets

FUSED = (8, 16, 16, 24)
BACKBONE = (8, 16, 24, 32)


def targets(frames: int, height: int = 8, width: int = 16, slots: int = 5, seed: int = 0) -> Targets:
    """Frame i has objects in i % 3 + 1 of its slots, never in slot 0; boxes in pixels of a 4 times larger image."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(frames, slots, *shape, generator=g)

    mask = torch.arange(slots) < (torch.arange(frames) % 3 + 2)[:, None]
    mask[:, 0] = False
    corner = rand(2) * torch.tensor([width * 2, height * 2])
    boxes = torch.cat([corner, corner + 4 + rand(2) * torch.tensor([width * 2, height * 2])], -1) * mask[..., None]
    heatmap = torch.rand(frames, 3, height, width, generator=g) * 0.9
    indices = torch.randint(0, height * width, (frames, slots), generator=g)
    heatmap[:, 1].flatten(1).scatter_(1, indices, 1.0)
    return Targets(
        heatmap=heatmap,
        indices=indices,
        mask_2d=mask,
        class_ids=torch.ones(frames, slots, dtype=torch.int64),
        boxes_px=boxes,
        size_2d=rand(2) * 8,
        offset_2d=rand(2),
        offset_3d=rand(2),
        size_3d=rand(3),
        heading_bin=torch.randint(0, 12, (frames, slots), generator=g),
        heading_residual_rad=rand() - 0.5,
        depth_m=rand() * 50,
        vis_depth_m=(rand(7, 7) - 0.5).clamp(min=0) * 100,
        object_count=mask.sum(1) + 1,
        weight=torch.ones(frames, slots),
        axis_only=torch.zeros(frames, slots, dtype=torch.bool),
        ignore=torch.zeros(frames, height, width, dtype=torch.bool),
    )


def output(t: Targets, seed: int, *, leaves: bool = False) -> DetectorOutput:
    """An output at the targets' peaks."""
    g = torch.Generator().manual_seed(seed)
    frames, _, height, width = t.heatmap.shape
    frame, slot = t.mask_2d.nonzero(as_tuple=True)
    rois = Rois(frame, t.indices[frame, slot], t.class_ids[frame, slot])

    def rand(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).requires_grad_(leaves)

    m = len(frame)
    roi = RoiOutput(rand(m, 2), rand(m, 3), rand(m, 24), *(rand(m, 7, 7) for _ in range(6)))
    fused = tuple(rand(frames, c, height >> i, width >> i) for i, c in enumerate(FUSED))
    strides = tuple(rand(frames, c, height * 4 >> i, width * 4 >> i) for i, c in enumerate((4, 4, *BACKBONE)))
    return DetectorOutput(
        rand(frames, 3, height, width), rand(frames, 2, height, width), rand(frames, 2, height, width),
        rois, roi, strides, fused,
    )  # fmt: skip


def part(t: Targets, out: DetectorOutput, first: int, last: int) -> tuple[Targets, DetectorOutput]:
    """The frames first to last of a batch, as a process would see them; gradients flow to the whole's leaves."""
    rows = (out.rois.frame_index >= first) & (out.rois.frame_index < last)
    rois = Rois(out.rois.frame_index[rows] - first, out.rois.cell[rows], out.rois.class_ids[rows])
    roi = RoiOutput(*(getattr(out.roi, name)[rows] for name in RoiOutput.__dataclass_fields__))
    own = slice(first, last)
    maps = (tuple(level[own] for level in levels) for levels in (out.backbone, out.fused))
    targets_part = Targets(*(getattr(t, name)[own] for name in Targets.__dataclass_fields__))
    return targets_part, DetectorOutput(out.heatmap[own], out.offset_2d[own], out.size_2d[own], rois, roi, *maps)
