"""Matching, solved by hand: which detection a label takes, and what each threshold changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from monokd.evaluation.matching import Changes, Criteria, Pairs, match_frames

V, I, X = 0, 1, -1  # valid, ignored, invisible  # noqa: E741


def run(
    overlaps: Sequence[Sequence[float]],
    scores: Sequence[float],
    labels: Sequence[int] | None = None,
    results: Sequence[int] | None = None,
    in_dont_care: Sequence[int] = (),
) -> Changes:
    """One frame; overlaps is labels × detections, and the least IoU 0.5."""
    table = np.array(overlaps, dtype=np.float64).reshape(len(overlaps), len(scores))
    g, d = np.nonzero(table)
    count = len(scores)
    score = np.array(scores, dtype=np.float64)
    pairs = Pairs(
        label_offsets=np.array([0, len(overlaps)]),
        offsets=np.array([0, count]),
        starts=np.searchsorted(g, np.arange(len(overlaps) + 1)),
        detections=d.astype(np.int64),
        similarity=np.full(len(g), 0.75),
        scores=score,
        order=np.argsort(-score, kind="stable"),
    )
    criteria = Criteria(
        overlaps=table[g, d],
        min_iou=0.5,
        labels=np.array([V] * len(overlaps) if labels is None else labels, dtype=np.int8),
        results=np.array([V] * count if results is None else results, dtype=np.int8),
        forgiven=np.isin(np.arange(count), in_dont_care),
    )
    return match_frames(pairs, criteria)


def changes(result: Changes) -> list[list[int]]:
    """Rows of right, wrong, found."""
    return [[int(x) for x in row] for row in result.counts]


def test_the_first_pass_takes_the_surest_the_second_the_closest() -> None:
    result = run([[0.6, 0.9]], scores=[0.9, 0.5])
    assert result.hits.tolist() == [True, False]
    # At 0.9 the only detection is right; at 0.5 the closer one replaces it, and the first is wrong.
    assert changes(result) == [[1, 0, 1], [0, 1, 0]]
    assert result.similarity.tolist() == [0.75, 0]


def test_overlap_must_exceed_the_limit() -> None:
    assert changes(run([[0.5]], scores=[0.9])) == [[0, 1, 0]]
    assert changes(run([[0.5000001]], scores=[0.9])) == [[1, 0, 1]]


def test_labels_choose_in_file_order() -> None:
    # The first label takes the detection that is the second's only one.
    result = run([[0.6, 0.0], [0.9, 0.0]], scores=[0.9, 0.1])
    assert changes(result) == [[1, 0, 1], [0, 1, 0]]


def test_equal_overlaps_and_scores_go_to_the_first_detection() -> None:
    result = run([[0.8, 0.8]], scores=[0.7, 0.7])
    assert result.hits.tolist() == [True, False]
    assert np.sum(result.counts, axis=0).tolist() == [1, 1, 1]


def test_equal_scores_enter_together() -> None:
    """At their common score the first label takes the closer one and leaves the other to the second label."""
    result = run([[0.6, 0.9], [0.7, 0.0]], scores=[0.7, 0.7])
    assert np.sum(result.counts, axis=0).tolist() == [2, 0, 2]
    assert np.count_nonzero(result.counts.any(axis=1)) == 1


def test_an_ignored_label_takes_its_detection_away() -> None:
    result = run([[0.9]], scores=[0.9], labels=[I])
    assert changes(result) == [[0, 0, 0]]
    assert not result.hits.any()


def test_an_invisible_label_leaves_it_wrong() -> None:
    assert changes(run([[0.9]], scores=[0.9], labels=[X])) == [[0, 1, 0]]


def test_an_ignored_detection_hides_a_label() -> None:
    """Neither right nor wrong, but the label is not missed either."""
    result = run([[0.9]], scores=[0.9], results=[I])
    assert changes(result) == [[0, 0, 1]]
    assert not result.hits.any()


def test_a_valid_detection_goes_before_an_ignored_one_of_larger_overlap() -> None:
    result = run([[0.9, 0.6]], scores=[0.9, 0.8], results=[I, V])
    assert np.sum(result.counts, axis=0).tolist() == [1, 0, 1]
    # The first pass looks at scores alone, so no threshold comes from this label.
    assert not result.hits.any()


def test_of_ignored_detections_the_first_is_taken() -> None:
    # The first label takes detection 0 although 1 is closer, so the second label finds 1.
    result = run([[0.6, 0.9], [0.0, 0.8]], scores=[0.9, 0.9], results=[I, I])
    assert np.sum(result.counts, axis=0).tolist() == [0, 0, 2]


def test_an_ignored_detection_is_never_wrong() -> None:
    assert changes(run([[0.0]], scores=[0.9], results=[I])) == [[0, 0, 0]]


def test_an_invisible_detection_does_nothing() -> None:
    result = run([[0.9]], scores=[0.9], results=[X])
    assert changes(result) == [[0, 0, 0]]


def test_dont_care_forgives_only_what_nothing_takes() -> None:
    assert changes(run([[0.0]], scores=[0.9], in_dont_care=[0])) == [[0, 0, 0]]
    assert changes(run([[0.9]], scores=[0.9], in_dont_care=[0])) == [[1, 0, 1]]
    # The second detection replaces the first at the lower threshold; DontCare forgives the first.
    assert changes(run([[0.6, 0.9]], scores=[0.9, 0.5], in_dont_care=[0])) == [[1, 0, 1], [0, 0, 0]]


def test_a_late_detection_can_take_a_label_away_from_another() -> None:
    """Label 0 moves to the late detection 1, which label 1 then cannot have."""
    result = run([[0.6, 0.9], [0.0, 0.8]], scores=[0.9, 0.5])
    assert result.hits.tolist() == [True, True]
    assert changes(result) == [[1, 0, 1], [0, 1, 0]]


def test_scores_below_the_kits_mark_make_no_threshold() -> None:
    assert not run([[0.9]], scores=[-20_000_000]).hits.any()
    assert run([[0.9]], scores=[-9_000_000]).hits.all()


@pytest.mark.parametrize("count", [0, 3])
def test_frames_without_labels(count: int) -> None:
    assert changes(run([], scores=[0.5] * count)) == [[0, 1, 0]] * count
