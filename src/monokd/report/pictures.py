"""The frames of the page: read, matched, chosen, drawn into picture files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder, read_depth, read_image
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report import drawing
from monokd.report.drawing import Layer
from monokd.report.frames_to_show import Counts, best_threshold, choose, match
from monokd.report.networks import CONTROL, STUDENT, TRUTH, UNPREDICTED, style_of
from monokd.report.results import Results
from monokd.typing import Bytes, Floats32


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The evaluated frames; of most only the labels are read."""

    folder: KittiFolder
    ids: Sequence[str]
    depth_dir: Path  # dense depth as ID.png
    # Chosen frames → network → frame → 0 to 1 over the whole image, any size.
    heat_maps: Callable[[Sequence[str]], Mapping[str, Mapping[str, Floats32]]]


class Picture(NamedTuple):
    """A written picture: its file's name, size in pixels, text for those who cannot see it, and caption."""

    file: str
    width_px: int
    height_px: int
    alt: str
    caption: str


class FramePictures(NamedTuple):
    """A frame of the page: why it is there; a photograph a network and depth; the view from above and heat maps."""

    frame: str
    reason: str
    why: str
    large: Sequence[Picture]
    small: Sequence[Picture]


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFrames:
    """Labels and results of every frame, matched for one class."""

    class_name: str
    truths: Mapping[str, Objects]  # by frame
    boxes: Mapping[str, Mapping[str, Objects]]  # network → frame → result boxes above the threshold
    counts: Mapping[str, Mapping[str, Counts]]  # network → frame → counts above the threshold
    thresholds: Mapping[str, float]  # by network
    predicted: set[str]  # the classes that some network predicts, and `class_name`


def match_frames(results: Results, source: FrameSource, class_name: str) -> MatchedFrames:
    """Read and match the labels and every network's boxes of all frames.

    Raises:
        DataError: a file is unreadable or malformed, or a folder of predictions does not exist.
    """
    truths = {frame: read_labels(source.folder.label(frame)) for frame in source.ids}
    matched = MatchedFrames(class_name, truths, boxes := {}, counts := {}, thresholds := {}, predicted := {class_name})
    for name in results.networks:
        mine = _read_boxes(results.predictions / name, source.ids)
        matches = {frame: match(truths[frame], objects, class_name) for frame, objects in mine.items()}
        least = thresholds[name] = best_threshold(list(matches.values()))
        boxes[name] = {frame: objects.select(objects.scores >= least) for frame, objects in mine.items()}
        counts[name] = {frame: found.at(least) for frame, found in matches.items()}
        predicted.update(*(objects.names for objects in mine.values()))
    return matched


def draw_frames(folder: Path, matched: MatchedFrames, source: FrameSource) -> list[FramePictures]:
    """Choose frames by what student and control find, and draw them into `folder`."""
    chosen = choose(matched.counts[STUDENT], matched.counts[CONTROL])
    heat = source.heat_maps(list(chosen)) if chosen else {}
    return [
        _draw_frame(folder, matched, source, frame, reason, {name: maps[frame] for name, maps in heat.items()})
        for frame, reason in chosen.items()
    ]


def truth_layers(truth: Objects, predicted: set[str]) -> list[Layer]:
    """Sort labels into one layer of classes that somebody predicts, and a fainter one of the rest, if any."""
    known = np.array([name in predicted for name in truth.names], dtype=bool)
    rest = np.array([name != "DontCare" for name in truth.names], dtype=bool) & ~known
    layers = [Layer(truth.select(rest), UNPREDICTED)] if rest.any() else []
    return [*layers, Layer(truth.select(known), TRUTH, filled=True)]


def _read_boxes(folder: Path, frames: Sequence[str]) -> dict[str, Objects]:
    if not folder.is_dir():
        raise DataError(f"expected a folder with predictions of {folder.name}, found none", folder)
    paths = {frame: folder / f"{frame}.txt" for frame in frames}
    empty = from_rows((), np.zeros((0, 15)))
    return {frame: read_results(path) if path.exists() else empty for frame, path in paths.items()}


def _draw_frame(
    folder: Path, matched: MatchedFrames, source: FrameSource, frame: str, reason: str, heat: Mapping[str, Floats32]
) -> FramePictures:
    def save(name: str, drawn: Bytes, alt: str, caption: str) -> Picture:
        drawing.write_picture(folder / f"{frame}-{name}", drawn)
        return Picture(f"{frame}-{name}", drawn.shape[1], drawn.shape[0], alt, caption)

    image, calibration = read_image(source.folder.image(frame)), read_calibration(source.folder.calibration(frame))
    # Half the size: a heat map has no detail that would be lost.
    half = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA).astype(np.uint8)
    truth = truth_layers(matched.truths[frame], matched.predicted)
    outlines, layers, photographs, warm = [layer._replace(filled=False) for layer in truth], [*truth], [], []
    for name, by_frame in matched.boxes.items():
        style, boxes, (found, counted, false) = style_of(name), by_frame[frame], matched.counts[name][frame]
        layers.append(Layer(boxes, style))
        drawn = drawing.draw_boxes_3d(image, [*outlines, Layer(boxes, style, filled=True)], calibration)
        many = f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'} of {style.label}"
        alt = f"Camera image of frame {frame} with ground truth and {many}"
        caption = f"{style.label}: {found} of {counted} found{f', {false} false' if false else ''}"
        photographs.append(save(f"{name}.jpg", drawn, alt, caption))
        alt = f"Heat map of {style.label} over frame {frame}: bright where it expects an object's centre"
        drawn = drawing.draw_heat_map(half, heat[name])
        warm.append(save(f"{name}-heat.jpg", drawn, alt, f"{style.label}: heat map"))
    drawn = drawing.add_colour_bar(drawing.colour_depth(read_depth(source.depth_dir / f"{frame}.png")))
    alt = f"Dense depth of frame {frame}: yellow is near, dark blue far; a scale from 2 to 80 m runs below"
    depth = save("depth.jpg", drawn, alt, "Dense depth, which only the teacher sees")
    # From 40 to 80 m ahead, in tens, a little beyond the farthest box.
    farthest_m = max(drawing.placed(layer.objects).locations_m[:, 2].max(initial=0.0) for layer in layers)
    range_m = float(np.clip(10 * np.ceil((farthest_m + 5) / 10), 40, 80))
    drawn = drawing.draw_birds_eye(layers, calibration=calibration, image_width_px=image.shape[1], range_m=range_m)
    alt = f"Frame {frame} seen from above, camera at the bottom, ground truth and all networks, rings every 10 m"
    above = save("above.png", drawn, alt, "Seen from above")
    return FramePictures(frame, reason, _why(matched, frame, reason), [*photographs, depth], [above, *warm])


def _why(matched: MatchedFrames, frame: str, reason: str) -> str:
    """Say in one sentence what put the frame here."""
    found, counted, false = mine = matched.counts[STUDENT][frame]
    finds = f"{style_of(STUDENT).label} finds {found} of {counted} counted {matched.class_name.lower()}s"
    if reason == "gain":
        return f"{finds}; {style_of(CONTROL).label} finds {matched.counts[CONTROL][frame].found}."
    return f"{finds} and draws {false or 'no'} false box{'es' if false > 1 else ''}: F1 {mine.f1:.2f}."
