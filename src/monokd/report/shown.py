"""The frames of the page: matched, chosen, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monokd.errors import DataError
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report.choice import FALSE, Chosen, Match, best_threshold, choose, match
from monokd.report.drawing import Layer
from monokd.report.inputs import FramePicture, HeatMaps, ModelResult
from monokd.report.pictures import FrameSet, write_frame
from monokd.report.styles import OTHER, TRUTH, style_of

Results = Mapping[str, Mapping[str, Objects]]
Matches = Mapping[str, Mapping[str, Match]]


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A chosen frame with its pictures and what was found in it."""

    chosen: Chosen
    pictures: FrameSet
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says about single frames.

    Attributes:
        frames: those shown.
        thresholds: network → the score from which its boxes are shown and counted.
        others: some frames show labels of classes that no network predicts.
    """

    frames: Sequence[ShownFrame] = ()
    thresholds: Mapping[str, float] | None = None
    others: bool = False


def show_frames(
    folder: Path,
    models: Sequence[ModelResult],
    frames: Sequence[FramePicture],
    class_name: str,
    heat_maps: HeatMaps | None = None,
) -> Shown:
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
    predicted = {class_name}.union(*(objects.names for mine in results.values() for objects in mine.values()))
    files = {item.frame: item for item in frames}
    shown, others, chosen = [], False, _chosen(matches, thresholds)
    heat = heat_maps([item.frame for item in chosen]) if heat_maps and chosen else {}
    for item in chosen:
        layers = truth_layers(truths[item.frame], predicted)
        others |= any(layer.style is OTHER for layer in layers)
        sure = {n: _sure(mine[item.frame], thresholds[n]) for n, mine in results.items()}
        counts = {name: _counts(mine[item.frame], thresholds[name]) for name, mine in matches.items()}
        warm = {name: mine[item.frame] for name, mine in heat.items() if item.frame in mine}
        pictures = write_frame(folder, files[item.frame], layers, sure, counts, warm)
        found = {name: mine[item.frame] for name, mine in matches.items()}
        shown.append(ShownFrame(item, pictures, _why(item.reason, found, thresholds, class_name)))
    return Shown(shown, thresholds, others)


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
    about, control = _sides(matches)
    compared = matches[control] if control != about else None
    return choose(matches[about], thresholds[about], control=compared, control_threshold=thresholds[control])


def _sides(names: Iterable[str]) -> tuple[str, str]:
    """What the page is about, and what it is compared with."""
    known = list(names)
    return known[-1], "baseline" if "baseline" in known else known[0]


def _sure(objects: Objects, threshold: float) -> Objects:
    return objects.select(objects.scores >= threshold)


def _found(result: Match, threshold: float) -> tuple[int, int, int]:
    """Counted objects, those found, and false boxes."""
    found = int((result.found_by >= threshold).sum())
    false = int(((result.outcome == FALSE) & (result.scores >= threshold)).sum())
    return len(result.found_by), found, false


def _counts(result: Match, threshold: float) -> str:
    total, found, false = _found(result, threshold)
    return f"{found} of {total} found" + (f", {false} false" if false else "")


def _why(reason: str, matches: Mapping[str, Match], thresholds: Mapping[str, float], class_name: str) -> str:
    """One sentence on what put the frame here."""
    about, control = _sides(matches)
    total, found, false = _found(matches[about], thresholds[about])
    label = style_of(about, list(matches).index(about)).label
    objects = f"{total} counted {class_name.lower()}s"
    if reason == "gain":
        before = _found(matches[control], thresholds[control])[1]
        return f"{label} finds {found} of {objects}; {style_of(control).label} finds {before}."
    f1 = matches[about].f1(thresholds[about])
    boxes = "no false box" if not false else f"{false} false box{'' if false == 1 else 'es'}"
    return f"{label} finds {found} of {objects} and draws {boxes}: F1 {f1:.2f}."
