"""Losses on the validation frames during training, for the history alone: the last epoch's weights always count."""

import torch
from lightning_fabric import Fabric

from monokd.losses.task_weights import DETECTION_TERMS
from monokd.samples.loader import EpochLoader
from monokd.training.steps import DetectionStep


def validation_losses(step: DetectionStep, loader: EpochLoader, fabric: Fabric) -> dict[str, float]:
    """Return means of the detection terms over all frames, `val_seg` and so on; nothing that trains changes.

    A mean weighs batches by their frames. It is what the network would pay in evaluation mode, without augmentation;
    average precision needs the stages that follow, on which training does not depend. The step's terms are of its own
    process alone; the loader gives this process's part of each batch of plain frames.
    """
    training = step.detector.training
    step.detector.eval()
    sums = torch.zeros(len(DETECTION_TERMS) + 1, dtype=torch.float64, device=fabric.device)
    with torch.inference_mode(), fabric.autocast():
        for batch in loader.batches(0):
            terms = step([batch.to(fabric.device)])
            row = torch.stack([terms[name].double() for name in DETECTION_TERMS])
            sums += len(batch.frames) * torch.cat([row, row.new_ones(1)])
    step.detector.train(training)
    if fabric.world_size > 1:
        torch.distributed.all_reduce(sums)
    *totals, frames = sums.tolist()
    return {f"val_{name}": total / frames for name, total in zip(DETECTION_TERMS, totals, strict=True)}
