"""Error bars: average precision over frames, or groups of frames, drawn again with replacement.

A resample is a data set of its own: its objects are counted and its thresholds are chosen anew, so each figure is what
the benchmark would say about those frames. Percentile intervals (Efron 1979) at 95 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.evaluation.evaluate import CurveKey, Evaluation, in_threads
from monokd.evaluation.precision import resampled
from monokd.files import read_bytes
from monokd.typing import Floats, Ints

CHUNK = 256  # resamples whose weights are held at once
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How frames are drawn again.

    With `groups`, whole groups of frames are drawn, such as the drives of a data set: frames of one drive are alike,
    and drawing them one by one makes intervals too narrow.
    """

    resamples: int = 0  # 0 for no intervals
    seed: int = 0
    groups: Mapping[str, str] | None = None  # by frame


NO_INTERVALS = Resampling()


def read_groups(path: Path, frames: Sequence[str]) -> dict[str, str]:
    """Read the group of each frame from lines `frame group`, which may name more than `frames`; DataError if broken."""
    groups: dict[str, str] = {}
    for number, line in enumerate(read_bytes(path, "groups").decode("utf-8", "replace").split("\n"), start=1):
        words = line.split()
        if words and len(words) != 2:
            raise DataError(f"expected a frame and its group, found {len(words)} words", path, number)
        if words and words[0] in groups:
            raise DataError(f"frame {words[0]} stands twice", path, number)
        if words:
            groups[words[0]] = words[1]
    missing = [frame for frame in frames if frame not in groups]
    if missing:
        raise DataError(f"expected a group for each frame, found none for {len(missing)}, first {missing[0]}", path)
    return groups


def figures(evaluations: Sequence[Evaluation], resampling: Resampling) -> list[dict[CurveKey, Floats]]:
    """Compute every curve's means on common resamples of the same frames (else ValueError), (1 + R)×4.

    The first row is of the frames as they are, the others of the resamples; columns as `precision.MEANS`.
    """
    frames = evaluations[0].frames
    if any(evaluation.frames != frames for evaluation in evaluations):
        raise ValueError("paired differences need the same frames")
    # Some keys share their curve, which is resampled once.
    curves = {id(curve): curve for evaluation in evaluations for curve in evaluation.curves.values()}
    chunks = {key: [curve.means[None]] for key, curve in curves.items()}
    for weights in frame_weights(frames, resampling):
        means = in_threads(partial(resampled, weights=weights), (curve.walk for curve in curves.values()))
        for key, chunk in zip(curves, means, strict=True):
            chunks[key].append(chunk)
    whole = {key: np.concatenate(each) for key, each in chunks.items()}
    return [{key: whole[id(curve)] for key, curve in evaluation.curves.items()} for evaluation in evaluations]


def frame_weights(frames: Sequence[str], resampling: Resampling) -> Iterator[NDArray[np.int32]]:
    """Draw resamples; yields chunks of R×F: how often each resample holds each frame."""
    group_of: Ints = np.arange(len(frames))
    if resampling.groups is not None:
        names = [resampling.groups[frame] for frame in frames]
        group_of = np.unique(names, return_inverse=True)[1].astype(np.int64)
    groups = int(group_of.max(initial=-1)) + 1
    random = np.random.default_rng(resampling.seed)
    for start in range(0, resampling.resamples, CHUNK):
        drawn = random.integers(groups, size=(min(CHUNK, resampling.resamples - start), groups), dtype=np.int32)
        weights = np.stack([np.bincount(row, minlength=groups) for row in drawn]).astype(np.int32)
        yield np.ascontiguousarray(weights[:, group_of])


def interval(values: Floats) -> tuple[float, float] | tuple[None, None]:
    """Compute the 95 % interval of R resampled figures; None where none of them is defined."""
    if np.isnan(values).all():
        return None, None
    low, high = np.nanpercentile(values, PERCENTILES)
    return float(low), float(high)
