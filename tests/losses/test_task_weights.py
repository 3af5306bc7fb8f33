"""Task weights by hand, and across a restart."""

import json

import pytest

from monokd.errors import DataError
from monokd.losses.task_weights import DETECTION_TERMS, WAITS_FOR, TaskWeights

FREE = {"seg", "offset2d", "size2d"}


def means(value: float, **others: float) -> dict[str, float]:
    return dict.fromkeys(DETECTION_TERMS, value) | others


def test_free_terms_train_first_and_the_others_once_the_window_is_full() -> None:
    """Epoch 0 is not kept, so the window of 5 is full at epoch 6."""
    tasks = TaskWeights(ramp_epochs=15)
    for epoch in range(6):
        weights = tasks.update(means(10 - epoch), epoch)
        assert weights == {name: float(name in FREE) for name in WAITS_FOR}
    weights = tasks.update(means(4.0), 6)
    assert weights["heading"] == pytest.approx(0.1)
    assert weights["seg"] == 1


def test_a_term_gets_all_its_weight_when_what_it_waits_for_has_settled() -> None:
    """Or when time is up."""
    tasks = TaskWeights(window=3, ramp_epochs=100)
    losses = [9.0, 8.0, 7.0, 6.0, 5.0, 5.0, 5.0, 5.0]
    weights = [tasks.update(means(loss), epoch) for epoch, loss in enumerate(losses)]
    assert weights[4]["depth"] == pytest.approx((4 - 3) / 97)
    assert weights[7]["depth"] == 1.0
    tasks = TaskWeights(ramp_epochs=8)
    assert [tasks.update(means(50.0 - epoch), epoch) for epoch in range(20)][-1]["depth"] == 1


def test_switched_off_everything_counts_from_the_start() -> None:
    assert set(TaskWeights(enabled=False).update({}, 0).values()) == {1.0}


@pytest.mark.parametrize(("shifted", "reads"), [(True, ("affinity", "head")), (False, ("offset2d", "size2d"))])
def test_q1_whose_trends_the_heading_waits_for(shifted: bool, reads: tuple[str, str]) -> None:
    """Published: with the distillation terms first, affinity's and head's, where it means offset2d's and size2d's."""
    kd = ("affinity", "head", "spearman")
    for settled in [("affinity", "head"), ("offset2d", "size2d")]:
        tasks = TaskWeights(window=3, ramp_epochs=30, shifted_task_history=shifted, distillation_terms=kd)
        for epoch in range(12):
            falling = dict.fromkeys((*kd, *DETECTION_TERMS), 40.0 - epoch)
            weights = tasks.update(falling | dict.fromkeys(settled, max(40.0 - epoch, 35.0)), epoch)
        assert weights["heading"] == (1.0 if settled == reads else pytest.approx((11 - 3) / 27))


@pytest.mark.parametrize("published", [True, False])
def test_two_terms_that_fall_faster_than_at_first(published: bool) -> None:
    """Trend 5 times the first: c = −4 for both, so the published weight is t^(1 − 16); corrected, c is 0."""
    tasks = TaskWeights(window=3, ramp_epochs=13, unbounded_trends=published)
    for epoch, loss in enumerate([60.0, 59.0, 58.0, 57.0, 56.0, 51.0, 46.0, 45.0]):
        weights = tasks.update(means(loss), epoch)
    assert weights["heading"] == pytest.approx(0.4**-15 if published else 0.4)


def test_a_restart_continues_with_the_same_weights() -> None:
    """The state goes through JSON, as a checkpoint may keep it."""
    losses = [30.0, 25.0, 21.0, 18.0, 16.0, 15.0, 14.5, 14.2, 14.1, 13.0, 12.0]
    whole, first = TaskWeights(ramp_epochs=12), TaskWeights(ramp_epochs=12)
    expected = [whole.update(means(loss), epoch) for epoch, loss in enumerate(losses)]
    for epoch, loss in enumerate(losses[:8]):
        first.update(means(loss), epoch)
    second = TaskWeights(ramp_epochs=12)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [second.update(means(loss), 8 + i) for i, loss in enumerate(losses[8:])] == expected[8:]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DataError, match=r"missing .*heading"):
        TaskWeights().update({"seg": 1.0}, 1)
