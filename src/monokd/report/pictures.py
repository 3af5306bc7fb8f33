"""The frames of the page: read, matched, chosen, drawn into picture files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_depth, read_image
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report.drawing import (
    Layer,
    add_colour_bar,
    colour_depth,
    draw_birds_eye,
    draw_boxes_3d,
    draw_heat_map,
    placed,
    write_picture,
)
from monokd.report.frames_to_show import Chosen, Counts, best_threshold, choose, match
from monokd.report.networks import CONTROL, TRUTH, UNPREDICTED, style_of
from monokd.report.results import Results
from monokd.typing import Bytes, Floats32

HeatMaps = Callable[[Sequence[str]], Mapping[str, Mapping[str, Floats32]]]


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The evaluated frames; of most only the labels are read."""

    folder: KittiFolder
    ids: Sequence[str]
    depth_dir: Path | None = None  # dense depth as ID.png
    heat_maps: HeatMaps | None = None  # chosen frames → network → frame → 0 to 1 over the whole image, any size


@dataclass(frozen=True, slots=True)
class Picture:
    """A written picture: its file's name, size in pixels, text for those who cannot see it, and caption."""

    file: str
    width_px: int
    height_px: int
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class FramePictures:
    """A frame of the page: why it is there, and a photograph a network, heat maps, depth, and the view from above."""

    frame: str
    reason: str
    why: str
    photographs: Sequence[Picture]
    heat_maps: Sequence[Picture]
    depth: Picture | None
    above: Picture


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFrames:
    """Labels and results of every frame, matched for one class."""

    truths: Mapping[str, Objects]  # by frame
    boxes: Mapping[str, Mapping[str, Objects]]  # network → frame → result boxes above the threshold
    counts: Mapping[str, Mapping[str, Counts]]  # network → frame → counts above the threshold
    thresholds: Mapping[str, float]  # by network
    class_name: str
    predicted: set[str]  # the classes that some network predicts, and `class_name`

    @property
    def compared(self) -> tuple[str, str]:
        """The network that the page is about, the last, and what it is compared with: the control, else the first."""
        names = list(self.counts)
        return names[-1], CONTROL if CONTROL in names else names[0]


def match_frames(results: Results, source: FrameSource, class_name: str) -> MatchedFrames:
    """Read and match the labels and every network's boxes of all frames.

    Raises:
        DataError: a file is unreadable or malformed, or a folder of predictions does not exist.
    """
    truths = {frame: read_labels(source.folder.label(frame)) for frame in source.ids}
    thresholds, boxes, counts, predicted = {}, {}, {}, {class_name}
    for name in results.networks:
        mine = _read_boxes(results, name, source.ids)
        matches = {frame: match(truths[frame], objects, class_name) for frame, objects in mine.items()}
        least = thresholds[name] = best_threshold(list(matches.values()))
        boxes[name] = {frame: objects.select(objects.scores >= least) for frame, objects in mine.items()}
        counts[name] = {frame: found.at(least) for frame, found in matches.items()}
        predicted.update(*(objects.names for objects in mine.values()))
    return MatchedFrames(truths, boxes, counts, thresholds, class_name, predicted)


def draw_frames(folder: Path, matched: MatchedFrames, source: FrameSource) -> list[FramePictures]:
    """Choose frames by what the networks compared find, and draw them."""
    about, other = matched.compared
    chosen = choose(matched.counts[about], None if other == about else matched.counts[other])
    heat = source.heat_maps([item.frame for item in chosen]) if source.heat_maps and chosen else {}
    warm = {item.frame: {name: maps[item.frame] for name, maps in heat.items()} for item in chosen}
    return [_draw_frame(folder, matched, source, item, warm[item.frame]) for item in chosen]


def truth_layers(truth: Objects, predicted: set[str]) -> list[Layer]:
    """Sort labels into one layer of classes that somebody predicts, and a fainter one of the rest, if any."""
    known = np.array([name in predicted for name in truth.names], dtype=bool)
    rest = np.array([name != "DontCare" for name in truth.names], dtype=bool) & ~known
    layers = [Layer(truth.select(rest), UNPREDICTED)] if rest.any() else []
    return [*layers, Layer(truth.select(known), TRUTH, filled=True)]


def _read_boxes(results: Results, network: str, frames: Sequence[str]) -> dict[str, Objects]:
    folder = (results.predictions or Path()) / network
    if not folder.is_dir():
        raise DataError(f"expected a folder with predictions of {network}, found none", folder)
    paths = {frame: folder / f"{frame}.txt" for frame in frames}
    empty = from_rows((), np.zeros((0, 15)))
    return {frame: read_results(path) if path.exists() else empty for frame, path in paths.items()}


def _draw_frame(
    folder: Path, matched: MatchedFrames, source: FrameSource, item: Chosen, heat: Mapping[str, Floats32]
) -> FramePictures:
    frame = item.frame
    image, calibration = read_image(source.folder.image(frame)), read_calibration(source.folder.calibration(frame))
    truth = truth_layers(matched.truths[frame], matched.predicted)
    sure = {name: mine[frame] for name, mine in matched.boxes.items()}
    under = [replace(layer, filled=False) for layer in truth]
    photographs = []
    for name, boxes in sure.items():
        drawn = draw_boxes_3d(image, [*under, Layer(boxes, style_of(name), filled=True)], calibration)
        many = f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'} of {style_of(name).label}"
        alt = f"Camera image of frame {frame} with ground truth and {many}"
        photographs.append(_save(folder, f"{frame}-{_slug(name)}.jpg", drawn, alt, _caption(matched, name, frame)))
    layers = [*truth, *(Layer(boxes, style_of(name)) for name, boxes in sure.items())]
    # From 40 to 80 m ahead, in tens, a little beyond the farthest box.
    farthest_m = max(placed(layer.objects).locations_m[:, 2].max(initial=0.0) for layer in layers)
    range_m = float(np.clip(10 * np.ceil((farthest_m + 5) / 10), 40, 80))
    above = draw_birds_eye(layers, calibration=calibration, image_width_px=image.shape[1], range_m=range_m)
    alt = f"Frame {frame} seen from above, camera at the bottom, ground truth and all networks, rings every 10 m"
    return FramePictures(
        frame,
        item.reason,
        _why(matched, frame, item.reason),
        photographs,
        [_heat_map(folder, image, frame, name, values) for name, values in heat.items()],
        _depth(folder, source, frame),
        _save(folder, f"{frame}-above.png", above, alt, "Seen from above"),
    )


def _heat_map(folder: Path, image: Bytes, frame: str, name: str, heat: Floats32) -> Picture:
    # Half the size: a heat map has no detail that would be lost.
    size, label = (max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1)), style_of(name).label
    drawn = draw_heat_map(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), heat)
    alt = f"Heat map of {label} over frame {frame}: bright where it expects an object's centre"
    return _save(folder, f"{frame}-{_slug(name)}-heat.jpg", drawn, alt, f"{label}: heat map")


def _depth(folder: Path, source: FrameSource, frame: str) -> Picture | None:
    if source.depth_dir is None:
        return None
    drawn = add_colour_bar(colour_depth(read_depth(source.depth_dir / f"{frame}.png")))
    alt = f"Dense depth of frame {frame}: yellow is near, dark blue far; a scale from 2 to 80 m runs below"
    return _save(folder, f"{frame}-depth.jpg", drawn, alt, "Dense depth, which only the teacher sees")


def _caption(matched: MatchedFrames, name: str, frame: str) -> str:
    found, counted, false = matched.counts[name][frame]
    return f"{style_of(name).label}: {found} of {counted} found{f', {false} false' if false else ''}"


def _why(matched: MatchedFrames, frame: str, reason: str) -> str:
    """Say in one sentence what put the frame here."""
    about, other = matched.compared
    found, counted, false = mine = matched.counts[about][frame]
    finds = f"{style_of(about).label} finds {found} of {counted} counted {matched.class_name.lower()}s"
    if reason == "gain":
        return f"{finds}; {style_of(other).label} finds {matched.counts[other][frame].found}."
    return f"{finds} and draws {false or 'no'} false box{'es' if false > 1 else ''}: F1 {mine.f1:.2f}."


def _save(folder: Path, name: str, drawn: Bytes, alt: str, caption: str) -> Picture:
    write_picture(folder / name, drawn)
    return Picture(name, drawn.shape[1], drawn.shape[0], alt, caption)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
