"""Error bars: what a resample is, what an interval covers, what a paired difference says."""

from __future__ import annotations

import numpy as np
import pytest

from monokd.evaluation import bootstrap
from monokd.evaluation.bootstrap import compare, intervals
from monokd.evaluation.evaluate import Evaluation, FigureKey, evaluate_tables
from tests.evaluation.cases import Line, line, place, table

KEY: FigureKey = ("strict", "Car", "3d_R40", "moderate")


def frames(count: int, missed: float, seed: int) -> tuple[list[list[Line]], list[list[Line]]]:
    """Frames of three cars, each found with probability 1 − missed at a random score, and one wrong
    detection.
    """
    random = np.random.default_rng(seed)
    labels = [[line(**place(k)) for k in range(3)] for _ in range(count)]
    results = [
        [line(**place(k, score=random.random())) for k in range(3) if random.random() > missed]
        + [line(**place(7, score=random.random() * 0.8))]
        for _ in range(count)
    ]
    return labels, results


def evaluated(labels: list[list[Line]], results: list[list[Line]]) -> Evaluation:
    return evaluate_tables(table(labels), table(results), [str(k) for k in range(len(labels))], "le")


def test_a_resample_scores_as_the_drawn_frames_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact: thresholds are chosen anew, frames drawn twice count twice."""
    labels, results = frames(30, 0.3, seed=1)
    evaluation = evaluated(labels, results)
    weights = np.concatenate(list(bootstrap._weights(30, 5, seed=3)))
    (draws,) = bootstrap._draws([evaluation], 5, seed=3)
    for resample, weight in enumerate(weights):
        drawn = np.repeat(np.arange(30), weight)
        again = evaluated([labels[k] for k in drawn], [results[k] for k in drawn])
        for key in evaluation.figure_keys():
            figures = bootstrap._figure(evaluation, draws, key)
            expected = again.ap(key)
            assert (figures is None) == (expected is None)
            if figures is not None:
                assert figures[resample] == pytest.approx(expected, abs=1e-9)


def test_every_resample_draws_as_many_frames_and_all_chunks_differ() -> None:
    count = bootstrap.CHUNK + 3
    weights = np.concatenate(list(bootstrap._weights(50, count, seed=0)))
    assert weights.shape == (count, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert len(np.unique(weights, axis=0)) == count


def test_one_seed_gives_one_interval() -> None:
    evaluation = evaluated(*frames(40, 0.3, seed=1))
    assert intervals(evaluation, 50, seed=4) == intervals(evaluation, 50, seed=4)
    assert intervals(evaluation, 50, seed=4) != intervals(evaluation, 50, seed=5)


def test_equal_frames_have_no_spread() -> None:
    labels, results = frames(1, 0, seed=2)
    found = intervals(evaluated(labels * 60, results * 60), 40, seed=0)[KEY]
    assert found is not None
    assert found.high - found.low < 1e-9


def test_intervals_narrow_with_the_square_root_of_the_frames() -> None:
    widths = []
    for count in (100, 1600):
        found = intervals(evaluated(*frames(count, 0.3, seed=1)), 300, seed=0)[KEY]
        assert found is not None
        widths.append(found.high - found.low)
    assert 2.5 < widths[0] / widths[1] < 6.5


def test_an_interval_holds_its_figure_and_undefined_stays_undefined() -> None:
    evaluation = evaluated(*frames(200, 0.3, seed=1))
    found = intervals(evaluation, 200, seed=0)
    interval, value = found[KEY], evaluation.ap(KEY)
    assert interval is not None
    assert value is not None
    assert interval.low < value < interval.high
    assert found["strict", "Cyclist", "3d_R40", "easy"] is None


def test_nothing_differs_from_itself() -> None:
    evaluation = evaluated(*frames(40, 0.3, seed=1))
    difference = compare(evaluation, evaluation, 50, seed=0)[1][KEY]
    assert difference is not None
    assert (difference.value, difference.low, difference.high, difference.above) == (0, 0, 0, 0)


def test_pairing_sees_a_difference_that_single_intervals_hide() -> None:
    """The same detections less a few: each interval covers the other's value, the difference's lies above
    0.
    """
    labels, results = frames(300, 0.3, seed=1)
    fewer = [frame[1:] if k % 30 == 0 else frame for k, frame in enumerate(results)]
    more, less = evaluated(labels, results), evaluated(labels, fewer)
    ranges, differences = compare(more, less, 300, seed=0)
    interval, difference, other = ranges[KEY], differences[KEY], less.ap(KEY)
    assert interval is not None
    assert difference is not None
    assert other is not None
    assert interval.low < other
    assert difference.low > 0
    assert difference.above == 1


def test_differences_reverse_with_their_sides() -> None:
    labels, results = frames(60, 0.3, seed=1)
    one, two = evaluated(labels, results), evaluated(labels, frames(60, 0.4, seed=2)[1])
    forth, back = compare(one, two, 60, seed=0)[1][KEY], compare(two, one, 60, seed=0)[1][KEY]
    assert forth is not None
    assert back is not None
    assert (forth.value, forth.low, forth.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_other_frames_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same frames"):
        compare(evaluated(*frames(3, 0, 1)), evaluated(*frames(4, 0, 1)), 10, seed=0)
