"""The frames of the page: matched, chosen, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monokd.errors import DataError
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report.choice import Chosen, Match, best_threshold, choose, match
from monokd.report.drawing import Layer
from monokd.report.inputs import FramePicture, ModelResult
from monokd.report.pictures import FrameSet, write_frame
from monokd.report.styles import OTHER, TRUTH, style_of

Results = Mapping[str, Mapping[str, Objects]]
Matches = Mapping[str, Mapping[str, Match]]


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A chosen frame with its pictures and what was found in it."""

    chosen: Chosen
    pictures: FrameSet
    counts: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says about single frames.

    Attributes:
        frames: those shown.
        matches: network → frame → what it found, for every labelled frame.
        thresholds: network → the score from which its boxes are shown and counted.
        others: some frames show labels of classes that no network predicts.
    """

    frames: Sequence[ShownFrame] = ()
    matches: Matches | None = None
    thresholds: Mapping[str, float] | None = None
    others: bool = False


def show_frames(folder: Path, models: Sequence[ModelResult], frames: Sequence[FramePicture], class_name: str) -> Shown:
    """Match every labelled frame, choose some, write their pictures into `folder`.

    The last network with predictions is what the choice is about; `baseline`, else the first, what it is compared with.

    Raises:
        DataError: a file is unreadable or malformed, or a folder of predictions does not exist.
    """
    drawn = [model for model in models if model.predictions is not None]
    truths = {files.frame: read_labels(files.label) for files in frames if files.label is not None}
    if not drawn or not truths:
        return Shown()
    results = {model.name: _read_folder(model, list(truths)) for model in drawn}
    matches = {n: {f: match(truths[f], r, class_name) for f, r in mine.items()} for n, mine in results.items()}
    thresholds = {name: best_threshold(list(mine.values())) for name, mine in matches.items()}
    predicted = {name for mine in results.values() for objects in mine.values() for name in objects.names}
    files = {item.frame: item for item in frames}
    shown, others = [], False
    for item in _chosen(matches, thresholds):
        layers = truth_layers(truths[item.frame], predicted)
        others |= any(layer.style is OTHER for layer in layers)
        sure = {n: _sure(mine[item.frame], thresholds[n]) for n, mine in results.items()}
        pictures = write_frame(folder, files[item.frame], layers, sure)
        found = {name: mine[item.frame] for name, mine in matches.items()}
        shown.append(ShownFrame(item, pictures, _counts(found, thresholds)))
    return Shown(shown, matches, thresholds, others)


def truth_layers(truth: Objects, predicted: set[str]) -> list[Layer]:
    """Labels as one layer of classes that somebody predicts, and a fainter one of the rest, where there are any."""
    known = np.array([name in predicted for name in truth.names], dtype=bool)
    rest = np.array([name != "DontCare" for name in truth.names], dtype=bool) & ~known
    layers = [Layer(truth.select(rest), OTHER)] if rest.any() else []
    return [*layers, Layer(truth.select(known), TRUTH, filled=True)]


def _read_folder(model: ModelResult, frames: Sequence[str]) -> dict[str, Objects]:
    folder = model.predictions or Path()
    if not folder.is_dir():
        raise DataError(f"expected a folder with predictions of {model.name}, found none", folder)
    paths = {frame: folder / f"{frame}.txt" for frame in frames}
    empty = from_rows((), np.zeros((0, 15)))
    return {frame: read_results(path) if path.exists() else empty for frame, path in paths.items()}


def _chosen(matches: Matches, thresholds: Mapping[str, float]) -> list[Chosen]:
    names = list(matches)
    about, control = names[-1], "baseline" if "baseline" in matches else names[0]
    compared = matches[control] if control != about else None
    return choose(matches[about], thresholds[about], control=compared, control_threshold=thresholds[control])


def _sure(objects: Objects, threshold: float) -> Objects:
    return objects.select(objects.scores >= threshold)


def _counts(matches: Mapping[str, Match], thresholds: Mapping[str, float]) -> str:
    total = max(len(mine.found_by) for mine in matches.values())
    parts = []
    for position, (name, mine) in enumerate(matches.items()):
        found = int((mine.found_by >= thresholds[name]).sum())
        false = int(((mine.outcome < 0) & (mine.scores >= thresholds[name])).sum())
        parts.append(f"{style_of(name, position).label} {found}" + (f" and {false} false" if false else ""))
    return f"Counted objects: {total}. Found: {', '.join(parts)}."
