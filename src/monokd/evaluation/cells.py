"""All combinations of class, difficulty and overlap of one result set, scored on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monokd.evaluation import boxes, rules
from monokd.evaluation.matching import Pairs, match
from monokd.evaluation.precision import Floats, Ints, Steps, curve, steps
from monokd.evaluation.rules import DIFFICULTIES, OVERLAP_KINDS, SETS, Difficulty, Rule
from monokd.kitti.labels import CLASSES as NAMES
from monokd.kitti.labels import LabelTable

A = TypeVar("A")
R = TypeVar("R")
CellKey = tuple[str, str, str, str]  # strict or loose, class, kind of overlap, difficulty
Job = tuple[str, Difficulty, str, float]  # class, difficulty, kind of overlap, least IoU


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One class, difficulty and kind of overlap at one least IoU.

    Attributes:
        min_iou: overlaps must exceed it.
        objects: valid labels.
        points: T×6 points of the curve, columns as `precision.POINT_COLUMNS`.
        figures: 4 percentages in the order of `precision.FIGURES`.
        walk: what resampling needs.
    """

    min_iou: float
    objects: int
    points: Floats
    figures: Floats
    walk: Steps


def score_cells(
    truth: LabelTable,
    found: LabelTable,
    rule: Rule,
    defined: dict[str, tuple[str, ...]],
    band_m: tuple[float, float] | None = None,
) -> dict[CellKey, Cell]:
    """Score every cell that has a result; the strict and the loose set share those of equal IoU.

    With a band of distance, labels outside it are ignored, and so are detections outside it that find nothing: one
    just across the border still finds its label inside (as COCO's evaluation treats sizes).
    """
    pairs, shares = pair_up(truth, found)
    descending = np.argsort(-pairs.scores, kind="stable")
    outside = rules.out_of_band(found, band_m)
    wanted: dict[CellKey, Job] = {
        (strictness, name, kind, difficulty.name): (name, difficulty, kind, rules.min_iou(strictness, name, kind))
        for strictness in SETS
        for name, metrics in defined.items()
        for kind in OVERLAP_KINDS
        for difficulty in DIFFICULTIES
        if kind in metrics
    }
    jobs = list(dict.fromkeys(wanted.values()))
    states = {
        (name, difficulty): (
            rules.label_states(truth, name, difficulty, rule, band_m),
            rules.result_states(found, name, difficulty),
        )
        for name, difficulty in dict.fromkeys(job[:2] for job in jobs)
    }

    def score(job: Job) -> Cell:
        name, difficulty, kind, iou = job
        labels, results = states[name, difficulty]
        forgiven = outside | (shares > iou) if kind == "bbox" else outside
        changes = match(pairs, OVERLAP_KINDS.index(kind), labels, results, forgiven, iou)
        valid = _per_frame(labels == rules.VALID, truth.offsets)
        walk = steps(changes, pairs, descending, valid)
        points, figures = curve(walk)
        return Cell(iou, int(valid.sum()), points, figures, walk)

    scored = dict(zip(jobs, in_threads(score, jobs), strict=True))
    return {key: scored[job] for key, job in wanted.items()}


def pair_up(truth: LabelTable, found: LabelTable) -> tuple[Pairs, Floats]:
    """What all cells share, and the largest share of each detection inside a DontCare region."""
    neighbours = [*rules.CLASSES, *rules.NEIGHBOURS.values()]
    visible = np.isin(truth.classes, [NAMES.index(name) for name in neighbours])
    counts, detections, overlaps = _pairs_in_threads(truth, found, visible)
    starts = np.concatenate([[0], np.cumsum(counts)])
    of_label = np.repeat(np.arange(len(truth.rows)), counts)
    similarity = (1 + np.cos(truth.rows[of_label, 2] - found.rows[detections, 2])) / 2
    frames = np.repeat(np.arange(found.offsets.size - 1), np.diff(found.offsets))
    scores = np.ascontiguousarray(found.rows[:, 14])
    order = np.lexsort((-scores, frames))
    regions = truth.classes == NAMES.index("DontCare")
    region_offsets = np.concatenate([[0], np.cumsum(regions)])[truth.offsets]
    shares = boxes.dont_care_shares(truth.rows[regions], region_offsets, found.rows, found.offsets)
    pairs = Pairs(
        truth.offsets, found.offsets, starts, detections, np.asfortranarray(overlaps), similarity, scores, order, frames
    )
    return pairs, shares


def _pairs_in_threads(truth: LabelTable, found: LabelTable, visible: NDArray[np.bool_]) -> tuple[Ints, Ints, Floats]:
    """`boxes.pairs_above` of all frames, some at a time."""
    edges = np.linspace(0, truth.offsets.size - 1, 4 * (os.cpu_count() or 1) + 1).astype(np.int64)

    def part(k: int) -> tuple[Ints, Ints, Floats]:
        some = slice(edges[k], edges[k + 1] + 1)
        return boxes.pairs_above(
            truth.rows, visible, truth.offsets[some], found.rows, found.offsets[some], rules.LOWEST_IOU
        )

    counts, detections, overlaps = zip(*in_threads(part, range(edges.size - 1)), strict=True)
    return np.concatenate(counts), np.concatenate(detections), np.concatenate(overlaps)


def in_threads(function: Callable[[A], R], items: Sequence[A]) -> list[R]:
    """Apply a function that releases the GIL to every item, on all cores, in the order of `items`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def _per_frame(chosen: NDArray[np.bool_], offsets: Ints) -> Ints:
    """How many rows of each frame are chosen."""
    total: Ints = np.concatenate([[0], np.cumsum(chosen)])
    return np.diff(total[offsets])
