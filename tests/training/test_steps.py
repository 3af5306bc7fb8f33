"""Batches whose gradients accumulate give the losses and gradients of one batch of all their frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from monokd.distill.methods import METHODS, DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.losses.replicas import Replicas
from monokd.models.detector import build_detector, feature_channels
from monokd.samples.batch import Batch, Targets, box_cells, collate
from monokd.samples.dataset import Frames
from monokd.training.steps import DetectionStep, TrainingStep, targets_of

WIDTH = 0.125


@pytest.fixture(scope="module")
def frames(tiny_workspace: Path) -> Frames:
    root, depth = KittiFolder(tiny_workspace / "data/demo"), tiny_workspace / "data/depth"
    return Frames(root, root.frames(), depth_dir=depth, labels=True, height_px=64, width_px=128)


def build(method: str, *, unclipped_masks: bool = False) -> TrainingStep:
    """A step whose batch normalisation does not look at the batch."""
    torch.manual_seed(0)
    if method == "detection":
        step: TrainingStep = DetectionStep(
            build_detector(WIDTH), sees="image", nan_without_depth=False, replicas=Replicas()
        )
    else:
        channels = feature_channels(WIDTH)
        step = DistillationStep(
            build_detector(WIDTH),
            build_detector(WIDTH),
            DistillationLoss(
                METHODS[method],
                student_channels=channels,
                backbone_channels=channels,
                unclipped_masks=unclipped_masks,
            ),
            teacher_train_mode=False,
            nan_without_depth=False,
            replicas=Replicas(),
        )
    return step.eval()


def losses_and_gradient(step: TrainingStep, batches: list[Batch]) -> tuple[dict[str, Tensor], Tensor]:
    sums: dict[str, Tensor] = {}
    for batch in step.parts(batches):
        terms = {name: term / len(batches) for name, term in step(batch).items() if name != "spearman"}
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        sums = {name: sums.get(name, torch.zeros(())) + term.detach() for name, term in terms.items()}
    return sums, torch.cat([p.grad.flatten() for p in step.parameters() if p.grad is not None])


def without_objects(batch: Batch) -> Batch:
    """A batch in which nothing trains, as the loader would make it."""
    targets = targets_of(batch)
    emptied = Targets(*(torch.zeros_like(getattr(targets, name)) for name in Targets.__dataclass_fields__))
    cells = box_cells(emptied)
    return replace(batch, targets=emptied, slots=torch.zeros(0, dtype=torch.int64), most_slots=0, box_cells=cells)


def joined(first: Batch, second: Batch) -> Batch:
    a, b = targets_of(first), targets_of(second)
    both = Targets(*(torch.cat([getattr(a, name), getattr(b, name)]) for name in Targets.__dataclass_fields__))
    names = ("image", "depth", "P2", "coord_range_px", "image_size_px")
    tensors: dict[str, Any] = {name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names}
    slots = both.mask_2d.flatten().nonzero()[:, 0]
    return replace(
        first,
        frames=first.frames + second.frames,
        targets=both,
        slots=slots,
        most_slots=max(first.most_slots, second.most_slots),
        box_cells=box_cells(both),
        **tensors,
    )


@pytest.mark.parametrize("method", ["detection", "monodistill", "monoskd", "monoasd"])
@pytest.mark.parametrize("empty", [False, True])
def test_two_batches_accumulate_to_one_of_both(frames: Frames, method: str, empty: bool) -> None:
    """Unequal numbers of objects, peaks, depth cells and box cells, and a batch without any."""
    first, second = (collate([frames[0, i], frames[0, i + 1]]) for i in (0, 2))
    second = without_objects(second) if empty else second
    whole, gradient = losses_and_gradient(build(method), [joined(first, second)])
    parts, accumulated = losses_and_gradient(build(method), [first, second])
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert (accumulated - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("unclipped_masks", [False, True])
@pytest.mark.parametrize("method", ["detection", "monodistill"])
def test_boxes_are_predicted_where_a_loss_reads_them(frames: Frames, method: str, unclipped_masks: bool) -> None:
    """The cells that `collate` names give the losses and gradients of whole maps, with quirk Q9 and without."""
    batch = collate([frames[0, i] for i in range(3)])
    assert batch.box_cells is not None
    assert 0 < len(batch.box_cells) < targets_of(batch).heatmap[:, 0].numel() / 2
    found = [
        losses_and_gradient(build(method, unclipped_masks=unclipped_masks), [given])
        for given in (batch, replace(batch, box_cells=None))
    ]
    for name, value in found[1][0].items():
        torch.testing.assert_close(found[0][0][name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert (found[0][1] - found[1][1]).norm() <= 1e-5 * found[1][1].norm()
