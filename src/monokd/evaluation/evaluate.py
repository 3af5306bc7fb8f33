"""From two folders of text to average precision."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from monokd.errors import DataError
from monokd.evaluation import rules
from monokd.evaluation.cells import Cell, CellKey, score_cells
from monokd.evaluation.precision import FIGURES
from monokd.evaluation.rules import CLASSES, DIFFICULTY_NAMES, METRICS, SETS, Rule
from monokd.kitti.labels import LabelTable, read_table

V = TypeVar("V")
FigureKey = tuple[str, str, str, str]  # strict or loose, class, metric with its points (3d_R40), difficulty


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A result set scored by KITTI's rules.

    Attributes:
        frames: the frames that were scored.
        rule: le or lt.
        classes: the classes that were scored.
        defined: for each class, the metrics that have a result.
        cells: what was computed.
        missing: frames without a result file, which counted as empty.
        unknown: lines by class name that KITTI does not know, in labels and in results.
    """

    frames: tuple[str, ...]
    rule: Rule
    classes: tuple[str, ...]
    defined: dict[str, tuple[str, ...]]
    cells: dict[CellKey, Cell]
    missing: tuple[str, ...] = ()
    unknown: dict[str, int] = field(default_factory=dict)

    def figure_keys(self) -> Iterator[FigureKey]:
        """All figures, in the order of the JSON."""
        for strictness in SETS:
            for name in self.classes:
                for metric in METRICS:
                    for points in FIGURES[:2]:
                        for difficulty in DIFFICULTY_NAMES:
                            yield strictness, name, f"{metric}_{points}", difficulty

    def locate(self, key: FigureKey) -> tuple[Cell, int] | None:
        """The cell of a figure and its place among `precision.FIGURES`; None where it is undefined."""
        strictness, name, figure, difficulty = key
        metric, _, points = figure.partition("_")
        if metric not in self.defined[name]:
            return None
        kind = "bbox" if metric == "aos" else metric
        cell = self.cells[strictness, name, kind, difficulty]
        return cell, FIGURES.index(f"aos_{points}" if metric == "aos" else points)

    def ap(self, key: FigureKey) -> float | None:
        """One figure in percent; None where it is undefined: no detections, or 0 / 0 in the curve, as in the
        kit.
        """
        found = self.locate(key)
        value = float("nan") if found is None else float(found[0].figures[found[1]])
        return None if np.isnan(value) else value

    def as_json(self) -> dict[str, object]:
        """The form that `monokd evaluate --json` prints and `metrics/MODEL/kitti.json` holds; percent."""
        return {
            "frames": len(self.frames),
            "rule": self.rule,
            **nested((key, self.ap(key)) for key in self.figure_keys()),
        }


def nested(figures: Iterable[tuple[FigureKey, V]]) -> dict[str, dict[str, dict[str, dict[str, V]]]]:
    """Figures as nested dictionaries: strict or loose, class, metric, difficulty."""
    tree: dict[str, dict[str, dict[str, dict[str, V]]]] = {}
    for (strictness, name, metric, difficulty), value in figures:
        tree.setdefault(strictness, {}).setdefault(name, {}).setdefault(metric, {})[difficulty] = value
    return tree


def evaluate_folders(
    labels: Path,
    results: Path,
    frames: Sequence[str] | None = None,
    rule: str = "le",
    classes: Sequence[str] = CLASSES,
    band_m: tuple[float, float] | None = None,
) -> Evaluation:
    """Score a folder of result files against a folder of label files.

    Args:
        labels: FRAME.txt with 15 fields a line.
        results: FRAME.txt with 16 fields a line; a file that does not exist counts as empty.
        frames: the frames to score; default: every label file.
        rule: le, the current development kit, or lt, the older one.
        classes: of Car, Pedestrian, Cyclist.
        band_m: score objects from the one distance to below the other only; default: all.

    Raises:
        DataError: a folder or a label file is missing, a line is wrong, or an argument is unknown.
    """
    checked = rules.check_rule(rule)
    for name in classes:
        if name not in CLASSES:
            raise DataError(f"classes: expected some of {', '.join(CLASSES)}, found '{name}'")
    frames = label_frames(labels) if frames is None else list(frames)
    if not results.is_dir():
        raise DataError("expected a folder of result files, found no such folder", results)
    truth = read_table(labels, frames, scores=False)
    found = read_table(results, frames, scores=True, missing_ok=True)
    return evaluate_tables(truth, found, frames, checked, tuple(classes), band_m)


def label_frames(labels: Path) -> list[str]:
    """Names of all label files, ascending.

    Raises:
        DataError: no such folder, or no *.txt in it.
    """
    if not labels.is_dir():
        raise DataError("expected a folder of label files, found no such folder", labels)
    names = sorted(entry[:-4] for entry in os.listdir(labels) if entry.endswith(".txt") and entry[0] != ".")
    if not names:
        raise DataError("expected label files *.txt, found none", labels)
    return names


def evaluate_tables(
    truth: LabelTable,
    found: LabelTable,
    frames: Sequence[str],
    rule: Rule,
    classes: tuple[str, ...] = CLASSES,
    band_m: tuple[float, float] | None = None,
) -> Evaluation:
    """Score detections that are read already; both tables hold the same frames in the same order."""
    defined = {name: rules.defined_metrics(found, name) for name in classes}
    cells = score_cells(truth, found, rule, defined, band_m)
    missing = tuple(frames[i] for i in found.missing)
    unknown = {name: truth.unknown.get(name, 0) + found.unknown.get(name, 0) for name in truth.unknown | found.unknown}
    return Evaluation(tuple(frames), rule, classes, defined, cells, missing, unknown)
