"""What a training step receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor
from torch.utils.data import default_collate

from monokd.samples.augment import map_channels
from monokd.samples.constants import STRIDE
from monokd.samples.masks import centre_mask
from monokd.typing import Modality


@dataclass(slots=True)
class Targets:
    """Targets of a batch: B frames, K object slots, feature map h×w of stride 4, 7×7 RoI cells.

    Those of one frame have no dimension B. Slot k belongs to label line k. Lines that do not train (class, level,
    nearer than 2 m, peak off the map) leave their slot at zeros and `mask_2d` False, in the middle of others; select
    with `mask_2d`.

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
        weight: B×K, 1 for true labels, the score for boxes of a detector, 0 in empty slots.
        axis_only: B×K bool, boxes whose heading may be off by half a turn.
        ignore: B×h×w bool, cells of which nobody knows what is there, peaks left out; none in frames with true labels.
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
    weight: Tensor
    axis_only: Tensor
    ignore: Tensor

    def each(self, move: Callable[[Tensor], Tensor]) -> Targets:
        """Return the same targets of moved tensors."""
        return Targets(*(move(getattr(self, f.name)) for f in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One frame ready to be batched; the fields of `Batch` without the batch dimension."""

    frame: str
    inputs: dict[Modality, Tensor]
    channel_maps: dict[Modality, Tensor]
    P2: Tensor
    coord_range_px: Tensor
    image_size_px: Tensor
    targets: Targets | None


@dataclass(slots=True)
class Batch:
    """B frames ready for a step.

    `box_cells` would have to be waited for on a GPU, so they are found where the batch is made.

    Attributes:
        frames: ids, for messages and predictions.
        inputs: by modality, as they travel: B×3×H×W uint8 images, B×1×H×W depth in metres; networks ask `input`.
        P2: B×3×4 float32 projection, of the mirrored camera where the frame is flipped.
        coord_range_px: B×2×2, top-left and bottom-right of the crop in image pixels.
        image_size_px: B×2 width, height of the file's image.
        targets: absent at prediction.
        box_cells: N int64, see `box_cells`.
        channel_maps: B×3×(C+1) by modality, what `map_channels` makes of `inputs`; without, they are ready as they are.
    """

    frames: tuple[str, ...]
    inputs: dict[Modality, Tensor]
    P2: Tensor
    coord_range_px: Tensor
    image_size_px: Tensor
    targets: Targets | None = None
    box_cells: Tensor | None = None
    channel_maps: dict[Modality, Tensor] = field(default_factory=dict)

    def input(self, modality: Modality) -> Tensor:
        """Return a network's input, B×3×H×W: the normalised image, or depth in three equal channels.

        Raises:
            ValueError: the batch does not carry it.
        """
        if modality not in self.inputs:
            carried = ", ".join(self.inputs) or "nothing"
            raise ValueError(f"this network sees {modality}, but the batch carries {carried}")
        stored = self.inputs[modality]
        return map_channels(stored, self.channel_maps[modality]) if modality in self.channel_maps else stored

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on `device`; from page-locked memory nobody waits for the copy."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the same batch in page-locked memory; a DataLoader calls this."""
        return self.each(Tensor.pin_memory)

    def each(self, move: Callable[[Tensor], Tensor]) -> Batch:
        """Return the same batch of moved tensors."""
        return replace(
            self,
            inputs={modality: move(tensor) for modality, tensor in self.inputs.items()},
            channel_maps={modality: move(tensor) for modality, tensor in self.channel_maps.items()},
            P2=move(self.P2),
            coord_range_px=move(self.coord_range_px),
            image_size_px=move(self.image_size_px),
            targets=None if self.targets is None else self.targets.each(move),
            box_cells=None if self.box_cells is None else move(self.box_cells),
        )


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples in their order; a modality and targets are there if every sample has them.

    Raises:
        ValueError: no samples.
    """
    if not samples:
        raise ValueError("expected at least one sample, found none")
    modalities = [m for m in samples[0].inputs if all(m in sample.inputs for sample in samples)]
    targets = [sample.targets for sample in samples if sample.targets is not None]
    batch = Batch(
        tuple(sample.frame for sample in samples),
        {modality: _stack([sample.inputs[modality] for sample in samples]) for modality in modalities},
        _stack([sample.P2 for sample in samples]),
        _stack([sample.coord_range_px for sample in samples]),
        _stack([sample.image_size_px for sample in samples]),
        channel_maps={modality: _stack([s.channel_maps[modality] for s in samples]) for modality in modalities},
    )
    return with_targets(batch, _stack_targets(targets)) if len(targets) == len(samples) else batch


def tensors_of(batch: Batch) -> list[Tensor]:
    """List a batch's tensors."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    batch.each(keep)
    return found


def with_targets(batch: Batch, targets: Targets) -> Batch:
    """Return the batch with these targets, on the CPU, and what is found from them."""
    return replace(
        batch,
        targets=targets,
        box_cells=box_cells(targets),
    )


def box_cells(targets: Targets) -> Tensor:
    """Find the cells whose predicted 2D boxes some loss reads, as ascending positions in the flattened B×h×w.

    These are the peaks that train, and what head distillation compares, with quirk Q9 or without: a few per cent of
    the map, so that a detector need not run its box heads on the rest.
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


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """In a worker process torch stacks straight into memory that the main process shares."""
    stacked: Tensor = default_collate(list(tensors))
    return stacked


def _stack_targets(targets: Sequence[Targets]) -> Targets:
    return Targets(*(_stack([getattr(one, f.name) for one in targets]) for f in fields(Targets)))
