"""What a step reads of a batch, alone and in chunks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.losses.means import ALONE
from monokd.models.detector import build_detector
from monokd.params import PUBLISHED_WEIGHTS
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.steps import DetectionStep, targets_of

WIDTH = 0.125
CORRECTED = Quirks.of("corrected")


def labelled(workspace: Path) -> Frames:
    root, settings = KittiFolder(workspace / "data/demo"), InputSettings(64, 128, depth_scaled_twice=False)
    return Frames(root, root.frames(), settings, depth_dir=workspace / "data/depth", labels=True)


@pytest.fixture(scope="module")
def frames(tiny_workspace: Path) -> Frames:
    return labelled(tiny_workspace)


def build(method: str, quirks: Quirks = CORRECTED) -> DetectionStep:
    torch.manual_seed(0)
    detector = build_detector(WIDTH, quirks=CORRECTED)
    if method == "detection":
        return DetectionStep(detector, modality="image", quirks=quirks)
    channels = detector.channels
    terms = DistillationLoss(
        PUBLISHED_WEIGHTS[method], fused_channels=channels, backbone_channels=channels, quirks=quirks
    )
    return DistillationStep(detector, build_detector(WIDTH, quirks=CORRECTED), terms, quirks=quirks, chunk=ALONE)


def losses_and_gradient(step: DetectionStep, chunks: list[Batch]) -> tuple[dict[str, Tensor], Tensor]:
    terms = {name: term for name, term in step(chunks).items() if name != "spearman"}
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    return terms, torch.cat([p.grad.flatten() for p in step.parameters() if p.grad is not None])


@pytest.mark.parametrize("unclipped_masks", [False, True])
@pytest.mark.parametrize("method", ["detection", "monodistill"])
def test_boxes_are_predicted_where_a_loss_reads_them(frames: Frames, method: str, unclipped_masks: bool) -> None:
    """The cells that `collate` names give the losses and gradients of whole maps, with quirk Q9 and without."""
    batch = collate([frames[0, i] for i in range(3)])
    assert batch.box_cells is not None
    assert 0 < len(batch.box_cells) < targets_of(batch).heatmap[:, 0].numel() / 2
    quirks = replace(CORRECTED, unclipped_masks=unclipped_masks)
    found = [
        losses_and_gradient(build(method, quirks).eval(), [given]) for given in (batch, replace(batch, box_cells=None))
    ]
    for name, value in found[1][0].items():
        torch.testing.assert_close(found[0][0][name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert (found[0][1] - found[1][1]).norm() <= 1e-5 * found[1][1].norm()


def test_q5_detection_terms_are_of_the_batch_and_distillation_terms_of_chunks(frames: Frames) -> None:
    """In evaluation mode chunks change no output, so that only the normalisers can differ."""
    samples = [frames[0, i] for i in range(4)]
    whole, chunks = collate(samples), [collate(samples[:2]), collate(samples[2:])]
    step = build("monodistill").eval()
    together, apart = step([whole]), step(chunks)
    alone = [step([chunk]) for chunk in chunks]
    for name in ("seg", "size2d", "depth", "heading"):
        torch.testing.assert_close(apart[name], together[name], rtol=1e-4, atol=1e-6, msg=name)
    for name in ("affinity", "foreground", "head"):
        mean = torch.stack([terms[name] for terms in alone]).mean()
        torch.testing.assert_close(apart[name], mean, rtol=1e-5, atol=1e-7, msg=name)
    assert (alone[0]["seg"] + alone[1]["seg"]) / 2 != apart["seg"]


def test_q5_batch_statistics_are_the_chunks_own_and_running_ones_those_of_the_first(frames: Frames) -> None:
    samples = [frames[0, i] for i in range(4)]
    chunks = [collate(samples[:2]), collate(samples[2:])]
    step, first = build("detection").train(), build("detection").train()
    step(chunks)
    first(chunks[:1])
    for (name, value), other in zip(step.state_dict().items(), first.state_dict().values(), strict=True):
        if "running" in name:
            torch.testing.assert_close(value, other, msg=name)
    assert {m.momentum for m in step.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


def test_a_chunk_without_objects_takes_part(frames: Frames) -> None:
    """Published behaviour: means over no depth cell are NaN only where the whole batch has none (quirk Q11)."""
    published = Quirks.of("published")
    samples = [frames[0, i] for i in range(4)]
    empty = collate(samples[:2])
    assert empty.targets is not None
    nothing = replace(empty.targets, mask_2d=torch.zeros_like(empty.targets.mask_2d))
    chunks = [replace(empty, targets=nothing), collate(samples[2:])]
    terms = build("detection", published).train()(chunks)
    assert all(torch.isfinite(term) for term in terms.values())
    alone = build("detection", published).train()([chunks[0]])
    assert torch.isnan(alone["depth"])
