"""Learning rates by hand, and which parameters are decayed."""

import math

import pytest
from torch import nn

from monokd.params import Training
from monokd.training.schedule import build_optimiser, learning_rate

PUBLISHED = Training.model_construct(
    schedule="steps", learning_rate=1e-3, epochs=150, warmup_epochs=5, decay_epochs=(90, 120)
)
COSINE = Training.model_construct(schedule="cosine", learning_rate=1e-3, epochs=11, warmup_epochs=1, decay_epochs=())


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 1e-5), (1, 1e-5 + 99e-5 * (1 - math.cos(math.pi / 5)) / 2), (5, 1e-3), (94, 1e-3), (95, 1e-4), (125, 1e-5)],
)
def test_the_published_schedule_decays_five_epochs_late_and_is_constant_within_an_epoch(
    epoch: int, rate: float
) -> None:
    assert learning_rate(PUBLISHED, epoch, 0.0) == pytest.approx(rate)
    assert learning_rate(PUBLISHED, epoch, 0.9) == pytest.approx(rate)


def test_the_cosine_rises_to_the_base_and_falls_to_a_hundredth() -> None:
    assert learning_rate(COSINE, 0, 0.5) == pytest.approx((1e-5 + 1e-3) / 2)
    assert learning_rate(COSINE, 1, 0.0) == pytest.approx(1e-3)
    assert learning_rate(COSINE, 6, 0.0) == pytest.approx(1e-3 * (0.01 + 0.99 / 2))
    assert learning_rate(COSINE, 11, 0.0) == pytest.approx(1e-5)


def test_biases_are_not_decayed_and_frozen_parameters_are_not_trained() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    module[1].weight.requires_grad_(False)
    settings = Training.model_construct(optimiser="adam", learning_rate=1e-3, weight_decay=0.1)
    optimiser = build_optimiser(module, settings)
    decayed, free = optimiser.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert [p.shape for p in decayed["params"]] == [(3, 2)]
    assert [p.shape for p in free["params"]] == [(3,), (1,)]
