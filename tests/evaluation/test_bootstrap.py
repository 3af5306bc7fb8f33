"""Error bars: what a resample is, what an interval covers, what a paired difference says."""

from pathlib import Path

import numpy as np
import pytest

from monokd.errors import DataError
from monokd.evaluation import bootstrap
from monokd.evaluation.bootstrap import Resampling, figures, frame_weights, read_groups
from monokd.evaluation.evaluate import Evaluation
from monokd.evaluation.precision import MEANS
from monokd.evaluation.table import ApRow, ap_table
from tests.evaluation.cases import Line, all_aps, line, place, score

FRAMES = [f"{k}" for k in range(50)]


def frames(count: int, missed: float, seed: int) -> tuple[list[list[Line]], list[list[Line]]]:
    """Frames of three cars, each found with probability 1 − missed at a random score, and one wrong detection."""
    random = np.random.default_rng(seed)
    labels = [[line(**place(k)) for k in range(3)] for _ in range(count)]
    results = [
        [line(**place(k, score=random.random())) for k in range(3) if random.random() > missed]
        + [line(**place(7, score=random.random() * 0.8))]
        for _ in range(count)
    ]
    return labels, results


def moderate(evaluation: Evaluation, other: Evaluation | None = None, resamples: int = 50, seed: int = 0) -> ApRow:
    rows = {row[:5]: row for row in ap_table(evaluation, other, Resampling(resamples, seed))}
    return rows["strict", "Car", "3d", "R40", "moderate"]


@pytest.mark.parametrize("groups", [None, {str(k): f"drive {k // 4}" for k in range(30)}])
def test_a_resample_scores_as_the_drawn_frames_would(groups: dict[str, str] | None) -> None:
    """Exact: thresholds are chosen anew, frames drawn twice count twice."""
    labels, results = frames(30, 0.3, seed=1)
    evaluation, resampling = score(labels, results), Resampling(4, seed=3, groups=groups)
    weights = np.concatenate(list(frame_weights(evaluation.frames, resampling)))
    (values,) = figures([evaluation], resampling)
    for resample, weight in enumerate([np.ones(30, dtype=np.int64), *weights]):
        drawn = np.repeat(np.arange(30), weight)
        again = all_aps(score([labels[k] for k in drawn], [results[k] for k in drawn]))
        for (iou, name, metric, points, difficulty), expected in again.items():
            key = iou, name, metric, difficulty
            assert (key in values) == (expected is not None)
            if key in values:
                column = MEANS.index(f"aos_{points}" if metric == "aos" else points)
                ours = values[key][resample, column]
                assert ours == pytest.approx(expected, abs=1e-9)


def test_every_resample_draws_as_many_frames_and_all_chunks_differ() -> None:
    weights = np.concatenate(list(frame_weights(FRAMES, Resampling(bootstrap.CHUNK + 3))))
    assert weights.sum(axis=1).tolist() == [50] * (bootstrap.CHUNK + 3)
    assert len(np.unique(weights, axis=0)) == bootstrap.CHUNK + 3


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    """A group of 20 frames and 6 of 5: every frame as often as its neighbours, 7 groups in all."""
    groups = {frame: "long" if k < 20 else f"short {k // 5}" for k, frame in enumerate(FRAMES)}
    weights = np.concatenate(list(frame_weights(FRAMES, Resampling(200, groups=groups))))
    assert (weights[:, :20] == weights[:, :1]).all()
    assert (weights[:, 20:25] == weights[:, 20:21]).all()
    assert (weights[:, [0, 20, 25, 30, 35, 40, 45]].sum(axis=1) == 7).all()
    assert weights.max() > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001 a", r"drives\.txt: expected a group for each frame, found none for 1, first 000004"),
        ("000001 a\n000001 b\n", r"drives\.txt:2: frame 000001 stands twice"),
        ("000001\n", r"drives\.txt:1: expected a frame and its group, found 1 word"),
    ],
)
def test_a_file_of_groups(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "drives.txt"
    path.write_text("000001 a\n\n000002\tb\n000004 a\n")
    assert read_groups(path, ["000004", "000001"]) == {"000001": "a", "000002": "b", "000004": "a"}
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_groups(path, ["000001", "000004"])


def test_one_seed_gives_one_interval_and_nothing_differs_from_itself() -> None:
    evaluation = score(*frames(40, 0.3, seed=1))
    assert moderate(evaluation, evaluation)[-3:] == (0, 0, 0)
    assert moderate(evaluation, seed=4) == moderate(evaluation, seed=4)
    assert moderate(evaluation, seed=4) != moderate(evaluation, seed=5)


def test_pairing_sees_a_difference_that_single_intervals_hide() -> None:
    """The same detections less a few: each interval covers the other's value, the difference's lies above 0."""
    labels, results = frames(300, 0.3, seed=1)
    fewer = [frame[1:] if k % 30 == 0 else frame for k, frame in enumerate(results)]
    more, less = score(labels, results), score(labels, fewer)
    row, other = moderate(more, less, resamples=300), moderate(less, resamples=0)
    assert other.low is None
    assert (row.low or 100) < (other.ap or 0)
    assert (row.difference_low or 0) > 0


def test_other_frames_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same frames"):
        ap_table(score(*frames(3, 0, 1)), score(*frames(4, 0, 1)))
