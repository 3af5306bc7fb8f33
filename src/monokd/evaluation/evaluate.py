"""From two folders of text to the curves of every class, metric and difficulty."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from monokd.classes import DIFFICULTIES, KITTI_NAMES, NEIGHBOURS, Difficulty
from monokd.errors import DataError
from monokd.evaluation import boxes, rules
from monokd.evaluation.matching import Criteria, Pairs, match_frames
from monokd.evaluation.precision import Walk, average_precision, walk_down
from monokd.evaluation.rules import CLASSES, METRICS, Band
from monokd.kitti.labels import LabelTable, read_table
from monokd.typing import Floats, Ints

R = TypeVar("R")
CurveKey = tuple[str, str, str, str]  # strict or loose, class, metric, difficulty
WARNED_FRAMES = 5  # missing frames that a warning names


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """Labels and detections of the same frames, and which of them overlap."""

    frames: tuple[str, ...]
    labels: LabelTable
    results: LabelTable  # a file that does not exist is empty
    pairs: Pairs
    overlaps: Floats  # 3×P, in the order of `rules.OVERLAPS`
    dont_care: Floats  # D, the largest share of each detection's 2D box inside one DontCare region

    def warnings(self, folder: Path) -> list[str]:
        """Say which frames have no file in the results' folder, and which class names KITTI does not know."""
        said = []
        missing, total = [self.frames[i] for i in self.results.missing], len(self.frames)
        if missing:
            named = ", ".join(missing[:WARNED_FRAMES]) + (", …" if len(missing) > WARNED_FRAMES else "")
            hint = f" (did you mean {folder / 'data'}?)" if len(missing) == total and (folder / "data").is_dir() else ""
            reason = f"{len(missing)} of {total} frames have no result file and count as empty"
            said.append(f"warning: {folder}: {reason}: {named}{hint}")
        lines = Counter(self.labels.unknown) + Counter(self.results.unknown)
        if lines:
            names = ", ".join(f"{name} ({count} line{'s' * (count > 1)})" for name, count in lines.items())
            said.append(f"warning: classes that KITTI does not know count as other classes: {names}")
        return said


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One class, difficulty and kind of overlap at one least IoU."""

    min_iou: float
    objects: int  # valid labels
    samples: Floats  # T×6, columns as `precision.SAMPLE_COLUMNS`
    means: Floats  # 4 percentages, `precision.MEANS`
    walk: Walk  # what resampling needs


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A result set scored by KITTI's rules."""

    frames: tuple[str, ...]
    rule: str
    classes: tuple[str, ...]
    # Those with a result, in the order of the table; figures that ask for the same overlap and IoU share theirs.
    curves: dict[CurveKey, Curve]


def read_result_set(labels: Path, results: Path, frames: Sequence[str] | None = None) -> ResultSet:
    """Read FRAME.txt of labels (15 fields a line) and results (16; no file counts as empty), and pair them up.

    Without `frames`, every label file counts. DataError where a folder or label file is missing or a line is wrong.
    """
    frames = label_frames(labels) if frames is None else frames
    if not results.is_dir():
        raise DataError("expected a folder of result files, found no such folder", results)
    truth = read_table(labels, frames, scores=False)
    return pair_up(frames, truth, read_table(results, frames, scores=True, missing_ok=True))


def label_frames(labels: Path) -> list[str]:
    """List the names of all label files, ascending; DataError where there is no such folder, or none in it."""
    if not labels.is_dir():
        raise DataError("expected a folder of label files, found no such folder", labels)
    names = sorted(entry[:-4] for entry in os.listdir(labels) if entry.endswith(".txt") and entry[0] != ".")
    if not names:
        raise DataError("expected label files *.txt, found none", labels)
    return names


def pair_up(frames: Sequence[str], labels: LabelTable, results: LabelTable) -> ResultSet:
    """Compute the overlaps of labels and detections of the same frames."""
    visible = np.isin(labels.classes, [KITTI_NAMES.index(name) for name in (*CLASSES, *NEIGHBOURS.values())])
    edges = np.linspace(0, len(frames), 4 * (os.cpu_count() or 1) + 1).astype(np.int64)

    def pairs_of(k: int) -> tuple[Ints, Ints, Floats]:
        some = slice(edges[k], edges[k + 1] + 1)
        offsets = labels.offsets[some], results.rows, results.offsets[some]
        return boxes.pairs_above(labels.rows, visible, *offsets, rules.LOWEST_IOU)

    found = zip(*in_threads(pairs_of, range(edges.size - 1)), strict=True)
    counts, detections, overlaps = (np.concatenate(each) for each in found)
    of_label = np.repeat(np.arange(len(labels.rows)), counts)
    scores = np.ascontiguousarray(results.rows[:, boxes.SCORE])
    frame_of = np.repeat(np.arange(results.offsets.size - 1), np.diff(results.offsets))
    turn_rad = labels.rows[of_label, boxes.ALPHA] - results.rows[detections, boxes.ALPHA]
    pairs = Pairs(
        label_offsets=labels.offsets,
        offsets=results.offsets,
        starts=np.concatenate([[0], np.cumsum(counts)]),
        detections=detections,
        similarity=(1 + np.cos(turn_rad)) / 2,
        scores=scores,
        frames=frame_of,
        order=np.lexsort((-scores, frame_of)),
        descending=np.argsort(-scores, kind="stable"),
    )
    regions = labels.classes == KITTI_NAMES.index("DontCare")
    region_offsets = np.concatenate([[0], np.cumsum(regions)])[labels.offsets]
    shares = boxes.dont_care_shares(labels.rows[regions], region_offsets, results.rows, results.offsets)
    return ResultSet(tuple(frames), labels, results, pairs, np.ascontiguousarray(overlaps.T), shares)


def evaluate_results(
    result_set: ResultSet,
    rule: str = "le",
    classes: Sequence[str] = CLASSES,
    *,
    metrics: Sequence[str] = METRICS,
    band_m: Band = (0.0, math.inf),
) -> Evaluation:
    """Score a result set: DataError where there is no such rule or class, or a class twice.

    Labels outside a band of distance are ignored, and so are detections outside it that find nothing: one just across
    the border still finds its label inside (as COCO's evaluation treats sizes).
    """
    if rule not in rules.RULES:
        raise DataError(f"rule: expected le (the current kit) or lt (the older one), found '{rule}'")
    if not set(classes) <= set(CLASSES) or len(set(classes)) < len(classes):
        raise DataError(f"classes: expected some of {', '.join(CLASSES)}, each once, found '{', '.join(classes)}'")
    labels, results, pairs = result_set.labels, result_set.results, result_set.pairs
    far_labels, far_results = rules.out_of_band(labels, band_m), rules.out_of_band(results, band_m)
    states = {}
    for name, level in product(classes, DIFFICULTIES):
        label_states = rules.label_states(labels, name, level, rule)
        label_states[far_labels & (label_states == rules.VALID)] = rules.IGNORED
        states[name, level] = label_states, rules.result_states(results, name, level)
    every_frame = np.ones(len(result_set.frames), dtype=np.int32)

    def curve(job: tuple[str, Difficulty, str, float]) -> Curve:
        name, level, overlap, min_iou = job
        forgiven = far_results | (result_set.dont_care > min_iou) if overlap == "bbox" else far_results
        overlaps = result_set.overlaps[rules.OVERLAPS.index(overlap)]
        changes = match_frames(pairs, Criteria(overlaps, min_iou, *states[name, level], forgiven))
        valid_so_far = np.concatenate([[0], np.cumsum(states[name, level][0] == rules.VALID)])
        walk = walk_down(changes, pairs, np.diff(valid_so_far[labels.offsets]))
        return Curve(min_iou, int(valid_so_far[-1]), *average_precision(walk, every_frame), walk)

    defined, jobs = {name: rules.defined_metrics(results, name) for name in classes}, {}
    for iou, name, metric, level in product(rules.IOU_SETS, classes, metrics, DIFFICULTIES):
        if metric in defined[name]:
            overlap = "bbox" if metric == "aos" else metric
            limits = rules.LOOSE_IOU if iou == "loose" and overlap != "bbox" else rules.STRICT_IOU
            jobs[iou, name, metric, level.name] = name, level, overlap, limits[name]
    different = list(dict.fromkeys(jobs.values()))
    curves = dict(zip(different, in_threads(curve, different), strict=True))
    return Evaluation(result_set.frames, rule, tuple(classes), {key: curves[job] for key, job in jobs.items()})


def in_threads(function: Callable[..., R], items: Iterable[Any]) -> list[R]:
    """Apply a function that releases the GIL to every item, on all cores, in the order of `items`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
