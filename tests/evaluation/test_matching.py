"""Matching, solved by hand: which detection a label takes, and what each threshold changes."""

from collections.abc import Callable, Sequence
from functools import partial

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
    order = np.argsort(-score, kind="stable")
    pairs = Pairs(
        label_offsets=np.array([0, len(overlaps)]),
        offsets=np.array([0, count]),
        starts=np.searchsorted(g, np.arange(len(overlaps) + 1)),
        detections=d.astype(np.int64),
        similarity=np.full(len(g), 0.75),
        scores=score,
        frames=np.zeros(count, dtype=np.int64),
        order=order,
        descending=order,
    )
    criteria = Criteria(
        overlaps=table[g, d],
        min_iou=0.5,
        labels=np.array([V] * len(overlaps) if labels is None else labels, dtype=np.int8),
        results=np.array([V] * count if results is None else results, dtype=np.int8),
        forgiven=np.isin(np.arange(count), in_dont_care),
    )
    return match_frames(pairs, criteria)


CASES = {
    "the second pass takes the closest": (partial(run, [[0.6, 0.9]], [0.9, 0.5]), [[1, 0, 1], [0, 1, 0]]),
    "an overlap at the limit is none": (partial(run, [[0.5]], [0.9]), [[0, 1, 0]]),
    "an overlap above the limit": (partial(run, [[0.5000001]], [0.9]), [[1, 0, 1]]),
    "labels choose in file order": (partial(run, [[0.6, 0.0], [0.9, 0.0]], [0.9, 0.1]), [[1, 0, 1], [0, 1, 0]]),
    "an ignored label takes its detection away": (partial(run, [[0.9]], [0.9], labels=[I]), [[0, 0, 0]]),
    "an invisible label leaves it wrong": (partial(run, [[0.9]], [0.9], labels=[X]), [[0, 1, 0]]),
    "neither right nor missed with an ignored detection": (partial(run, [[0.9]], [0.9], results=[I]), [[0, 0, 1]]),
    "an ignored detection is never wrong": (partial(run, [[0.0]], [0.9], results=[I]), [[0, 0, 0]]),
    "an invisible detection does nothing": (partial(run, [[0.9]], [0.9], results=[X]), [[0, 0, 0]]),
    "DontCare forgives": (partial(run, [[0.0]], [0.9], in_dont_care=[0]), [[0, 0, 0]]),
    "DontCare forgives only what nothing takes": (partial(run, [[0.9]], [0.9], in_dont_care=[0]), [[1, 0, 1]]),
    # The second detection replaces the first at the lower threshold.
    "DontCare forgives the replaced": (
        partial(run, [[0.6, 0.9]], [0.9, 0.5], in_dont_care=[0]),
        [[1, 0, 1], [0, 0, 0]],
    ),
    # Label 0 moves to the late detection 1, which label 1 then cannot have.
    "a late detection takes a label away": (partial(run, [[0.6, 0.9], [0.0, 0.8]], [0.9, 0.5]), [[1, 0, 1], [0, 1, 0]]),
    "no labels and no detections": (partial(run, [], []), []),
    "no labels": (partial(run, [], [0.5] * 3), [[0, 1, 0]] * 3),
}


@pytest.mark.parametrize("case", CASES)
def test_changes_of_right_wrong_and_found_by_detection(case: str) -> None:
    matching, expected = CASES[case]
    assert matching().counts.tolist() == expected


@pytest.mark.parametrize(
    ("matching", "hits"),
    [
        (partial(run, [[0.6, 0.9]], [0.9, 0.5]), [True, False]),
        (partial(run, [[0.8, 0.8]], [0.7, 0.7]), [True, False]),
        (partial(run, [[0.9]], [0.9], labels=[I]), [False]),
        (partial(run, [[0.9]], [-20_000_000]), [False]),  # the kit's mark of 'no detection' is −10,000,000
        (partial(run, [[0.9]], [-9_000_000]), [True]),
    ],
)
def test_hits_of_the_first_pass_place_the_thresholds(matching: Callable[[], Changes], hits: list[bool]) -> None:
    """It looks at scores alone, takes the surest, and only valid labels and detections are hits."""
    assert matching().hits.tolist() == hits
