"""What a step reads of a batch: regions and box cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from monokd.distill.methods import METHODS, DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.losses.means import Processes as Replicas
from monokd.models.detector import build_detector, feature_channels, rois_from_targets
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.steps import DetectionStep, TrainingStep, targets_of, trained_rois

WIDTH = 0.125


@pytest.fixture(scope="module")
def frames(tiny_workspace: Path) -> Frames:
    root, depth = KittiFolder(tiny_workspace / "data/demo"), tiny_workspace / "data/depth"
    return Frames(root, root.frames(), InputSettings(64, 128), depth_dir=depth, labels=True)


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
    for batch in batches:
        terms = {name: term / len(batches) for name, term in step(batch).items() if name != "spearman"}
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        sums = {name: sums.get(name, torch.zeros(())) + term.detach() for name, term in terms.items()}
    return sums, torch.cat([p.grad.flatten() for p in step.parameters() if p.grad is not None])


def test_a_batch_knows_where_its_regions_are(frames: Frames) -> None:
    """What `collate` counts is what the targets say."""
    batch = collate([frames[0, i] for i in range(3)])
    targets, found = targets_of(batch), trained_rois(batch)
    plain = rois_from_targets(targets.indices, targets.mask_2d, targets.class_ids)
    assert torch.equal(found.frame_index, plain.frame_index)
    assert torch.equal(found.cell, plain.cell)
    assert found.most == int(targets.mask_2d.sum(1).max()) > 0


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["detection", "monodistill", "monoasd"])
def test_a_step_never_waits_for_the_gpu(frames: Frames, method: str) -> None:
    device = torch.device("cuda")
    step = build(method).to(device).train()
    if isinstance(step, DistillationStep):
        step.teacher.to(device)
    batch = collate([frames[0, i] for i in range(2)]).pin_memory()
    torch.autograd.backward(torch.stack(list(step(batch.to(device)).values())).sum())
    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.autograd.backward(torch.stack(list(step(batch.to(device)).values())).sum())
    finally:
        torch.cuda.set_sync_debug_mode("default")
