"""What a training step receives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass, tree_leaves, tree_map, tree_map_only
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
    """

    heatmap: Tensor  # B×3×h×w, Gaussian peaks at projected 3D centres
    indices: Tensor  # B×K int64, peak cell as y·w + x
    mask_2d: Tensor  # B×K bool, slots that train
    class_ids: Tensor  # B×K int64: Pedestrian 0, Car 1, Cyclist 2
    # B×K×4 left, top, right, bottom of 2D boxes in network-input pixels after augmentation, for masks of the
    # distillation. Not clipped: boxes reach past the input, and a box whose peak is off the map stands here too
    # although its `mask_2d` is False. All zeros where the line does not train
    boxes_px: Tensor
    size_2d: Tensor  # B×K×2 width, height in feature pixels
    offset_2d: Tensor  # B×K×2, 2D centre − peak, feature pixels
    offset_3d: Tensor  # B×K×2, projected 3D centre − peak, feature pixels
    size_3d: Tensor  # B×K×3 height, width, length − class mean, metres
    heading_bin: Tensor  # B×K int64, 0 to 11
    heading_residual_rad: Tensor  # B×K
    depth_m: Tensor  # B×K
    vis_depth_m: Tensor  # B×K×7×7 dense depth in the 2D box, 0 where there is none near `depth_m`
    # B int64, the frame's label lines of any class, at most K (published `obj_num`: the masks of the published
    # distillation visit that many slots, empty ones included)
    object_count: Tensor
    weight: Tensor  # B×K, 1 for true labels, the score for boxes of a detector, 0 in empty slots
    axis_only: Tensor  # B×K bool, boxes whose heading may be off by half a turn
    # B×h×w bool, cells of which nobody knows what is there, peaks left out; none in frames with true labels
    ignore: Tensor


@dataclass(slots=True)
class Batch:
    """B frames ready for a step; a sample is one frame's, whose tensors have no dimension B.

    `box_cells` would have to be waited for on a GPU, so they are found where the batch is made.
    """

    frames: tuple[str, ...]  # ids, for messages and predictions
    # by modality, as they travel: B×3×H×W uint8 images, B×1×H×W depth in metres; networks ask `input`
    inputs: dict[Modality, Tensor]
    P2: Tensor  # B×3×4 float32 projection, of the mirrored camera where the frame is flipped
    coord_range_px: Tensor  # B×2×2, top-left and bottom-right of the crop in image pixels
    image_size_px: Tensor  # B×2 width, height of the file's image
    targets: Targets | None = None  # absent at prediction
    box_cells: Tensor | None = None  # N int64, see `box_cells`
    # B×3×(C+1) by modality, what `map_channels` makes of `inputs`
    channel_maps: dict[Modality, Tensor] = field(default_factory=dict)

    def input(self, modality: Modality) -> Tensor:
        """Return a network's input, B×3×H×W: the normalised image, or depth in three equal channels.

        Raises:
            ValueError: the batch does not carry it.
        """
        if modality not in self.inputs:
            carried = ", ".join(self.inputs) or "nothing"
            raise ValueError(f"this network sees {modality}, but the batch carries {carried}")
        return map_channels(self.inputs[modality], self.channel_maps[modality])

    def to(self, device: torch.device) -> Self:
        """Return the same batch on `device`; from page-locked memory nobody waits for the copy."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the same batch in page-locked memory; a DataLoader calls this."""
        return self.each(Tensor.pin_memory)

    def each(self, move: Callable[[Tensor], Tensor]) -> Self:
        """Return the same batch of moved tensors."""
        moved: Self = tree_map_only(Tensor, move, self)
        return moved


register_dataclass(Targets)
register_dataclass(Batch)


def collate(samples: Sequence[Batch]) -> Batch:
    """Stack samples of the same modalities in their order, and find `box_cells` where they have targets.

    In a worker process torch stacks in memory that is shared with the main one.
    """
    batch: Batch = tree_map(lambda *values: _stack(values), *samples)
    batch.frames = tuple(name for sample in samples for name in sample.frames)
    if batch.targets is not None:
        batch.box_cells = box_cells(batch.targets)
    return batch


def tensors_of(batch: Batch) -> list[Tensor]:
    """List a batch's tensors."""
    return [leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)]


def box_cells(targets: Targets) -> Tensor:
    """Find the cells whose predicted 2D boxes some loss reads, as ascending positions in the flattened B×h×w.

    These are the peaks that train, and what head distillation compares, with quirk Q9 or without: a few per cent of
    the map, so that a detector need not run its box heads on the rest.
    """
    read = torch.zeros_like(targets.heatmap[:, 0], dtype=torch.bool)
    for unclipped_masks in (True, False):
        read |= head_cells(targets, unclipped_masks=unclipped_masks).bool()
    frame, slot = targets.mask_2d.nonzero(as_tuple=True)
    read = read.flatten(1)
    read[frame, targets.indices[frame, slot]] = True
    return read.flatten().nonzero()[:, 0]


def head_cells(targets: Targets, *, unclipped_masks: bool) -> Tensor:
    """Return the cells of B×h×w maps whose 2D offsets and sizes head distillation compares, 1 or 0 (quirk Q9)."""
    height, width = targets.heatmap.shape[-2:]
    return centre_mask(targets.boxes_px, STRIDE, height, width, targets.object_count, unclipped_masks=unclipped_masks)


def _stack(values: Sequence[Any]) -> Any:
    return default_collate(list(values)) if isinstance(values[0], Tensor) else values[0]
