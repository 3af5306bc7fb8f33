"""Learning rates and the optimiser."""

import math

from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from monokd.params import Training

WARMUP_START = 1e-5


def learning_rate(settings: Training, epoch: int, fraction: float) -> float:
    """Return the rate at `fraction` (0 to 1) of `epoch` (from 0).

    `steps` is the published schedule: a cosine rise from 1e-5 over the warm-up, one value an epoch, then ×0.1 at each
    of `decay_epochs`, counted on the main schedule, which does not advance during the warm-up. `cosine` changes every
    step: a straight rise over the warm-up, then half a cosine down to 1 % of the base.
    """
    base, warmup = settings.learning_rate, settings.warmup_epochs
    if settings.schedule == "steps":
        if epoch < warmup:
            return WARMUP_START + (base - WARMUP_START) * (1 - math.cos(math.pi * epoch / warmup)) / 2
        return base * math.pow(0.1, sum(epoch - warmup >= decay for decay in settings.decay_epochs))
    now = epoch + fraction
    if now < warmup:
        return WARMUP_START + (base - WARMUP_START) * now / warmup
    progress = (now - warmup) / max(settings.epochs - warmup, 1e-9)
    return base * (0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1.0))) / 2)


def build_optimiser(module: nn.Module, settings: Training) -> Optimizer:
    """Build Adam or AdamW; names that contain 'bias' are not decayed, as in the published code."""
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in trained if "bias" not in name], "weight_decay": settings.weight_decay},
        {"params": [p for name, p in trained if "bias" in name], "weight_decay": 0.0},
    ]
    return (Adam if settings.optimiser == "adam" else AdamW)(groups, lr=settings.learning_rate)
