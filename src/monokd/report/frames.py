"""The frames of the page: which to show, by a rule that fits one sentence, and their pictures.

A box finds an object when its centre stands within `REACH_M` of the object's, seen from above; surer boxes choose first
and every object is found once (the matching of nuScenes, Caesar et al. 2020).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from monokd.classes import MODERATE, NEIGHBOURS
from monokd.errors import DataError
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_depth, read_image
from monokd.kitti.labels import read_labels, read_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report import drawing
from monokd.report.drawing import Layer
from monokd.report.networks import CONTROL, STUDENT, TRUTH, UNPREDICTED, style_of
from monokd.report.results import Results
from monokd.typing import Bytes, Floats, Floats32, Ints

REACH_M = 2.0
HIT, FALSE, IGNORED = 1, -1, 0
HeatMaps = Mapping[str, Mapping[str, Floats32]]  # network → frame → 0 to 1 over the whole image, any size


class Counts(NamedTuple):
    """Boxes and objects of one frame, one class, above a score."""

    found: int
    counted: int  # objects of moderate difficulty
    false: int

    @property
    def f1(self) -> float:
        """2·found / (2·found + missed + false); 0 when nothing counts."""
        return 2 * self.found / max(self.found + self.counted + self.false, 1)


class Match(NamedTuple):
    """One network on one frame, one class."""

    found_by: Floats  # score of the box that found each counted object (of moderate difficulty); −inf where none did
    scores: Floats  # of each box of the class
    outcome: Ints  # HIT, FALSE or IGNORED for each box

    def at(self, threshold: float) -> Counts:
        """Count with the boxes alone that are at least as sure as `threshold`."""
        false = (self.outcome == FALSE) & (self.scores >= threshold)
        return Counts(int((self.found_by >= threshold).sum()), len(self.found_by), int(false.sum()))


def match(truth: Objects, results: Objects, class_name: str) -> Match:
    """Match one frame's result boxes with its labels.

    Labels beyond KITTI's moderate limits, of neighbouring classes, and DontCare neither count nor make a box false.
    """
    names = np.array(truth.names, dtype=object)
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] >= MODERATE.min_height_px
    clear = (truth.occlusion <= MODERATE.max_occlusion) & (truth.truncation <= MODERATE.max_truncation)
    counted = (names == class_name) & tall & clear
    free = (names == class_name) | (names == NEIGHBOURS.get(class_name))
    boxes = results.select(np.array([name == class_name for name in results.names], dtype=bool))
    boxes = boxes.select(np.argsort(-boxes.scores, kind="stable"))
    gaps_m = np.linalg.norm(boxes.locations_m[:, None, [0, 2]] - truth.locations_m[None, :, [0, 2]], axis=2)
    small = boxes.boxes_px[:, 3] - boxes.boxes_px[:, 1] < MODERATE.min_height_px
    one, two = boxes.boxes_px[:, None], truth.boxes_px[names == "DontCare"]
    shared_px = np.maximum(np.minimum(one[..., 2:], two[:, 2:]) - np.maximum(one[..., :2], two[:, :2]), 0)
    area_px2 = np.maximum((one[..., 2:] - one[..., :2]).prod(axis=-1), 1e-9)
    excused = small | (shared_px.prod(axis=-1) > area_px2 / 2).any(axis=1)  # more than half in one DontCare region
    outcome, found_by = np.where(excused, IGNORED, FALSE), np.full(len(truth), -np.inf)
    for index, gap_m in enumerate(gaps_m):
        reachable = np.where(free & (gap_m <= REACH_M), gap_m, np.inf)
        if np.isfinite(reachable).any():
            target = int(reachable.argmin())
            free[target] = False
            outcome[index] = HIT if counted[target] else IGNORED
            found_by[target] = boxes.scores[index]
    return Match(found_by[counted], boxes.scores, outcome)


def best_threshold(matches: Sequence[Match]) -> float:
    """Find the lowest score at which F1 over all frames is highest; 0 without any hit."""
    found_by = np.sort(np.concatenate([m.found_by for m in matches]))
    false = np.sort(np.concatenate([m.scores[m.outcome == FALSE] for m in matches]))
    if not np.isfinite(found_by).any():
        return 0.0
    thresholds = np.unique(np.concatenate([m.scores for m in matches]))
    hits, wrong = (scores.size - np.searchsorted(scores, thresholds) for scores in (found_by, false))
    return float(thresholds[np.argmax(2 * hits / (hits + wrong + found_by.size))])


def choose(mine: Mapping[str, Counts], control: Mapping[str, Counts]) -> dict[str, str]:
    """Choose frames → why: 2 `best` and 2 `worst` by F1, and the largest `gain` in found objects over the control.

    No frame twice, none without counted objects, those with a single one only after the others. Ties go to more
    objects, then to the smaller id.
    """
    pool = {frame: counts for frame, counts in mine.items() if counts.counted}
    highest, lowest = (
        sorted(pool, key=lambda f: (pool[f].counted < 2, sign * pool[f].f1, -pool[f].counted, f)) for sign in (-1, 1)
    )
    gain = {frame: counts.found - control[frame].found for frame, counts in pool.items()}
    gaining = sorted((f for f in gain if gain[f] > 0), key=lambda f: (-gain[f], -pool[f].counted, f))
    chosen: dict[str, str] = {}
    for frames, count, reason in ((highest, 2, "best"), (lowest, 2, "worst"), (gaining, 1, "gain")):
        left = [frame for frame in frames if frame not in chosen]
        chosen |= dict.fromkeys(left[:count], reason)
    return chosen


@dataclass(frozen=True, slots=True)
class PageFrames:
    """The evaluated frames; of most only the labels are read."""

    folder: KittiFolder
    ids: Sequence[str]
    depth_dir: Path  # dense depth as ID.png
    heat_maps: Callable[[Sequence[str]], HeatMaps]  # of chosen frames


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
    unpredicted: bool  # whether some label is of a class that no network predicts


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFrames:
    """Labels and results of every frame, matched for one class."""

    class_name: str
    truths: Mapping[str, Objects]  # by frame
    boxes: Mapping[str, Mapping[str, Objects]]  # network → frame → result boxes above the threshold
    counts: Mapping[str, Mapping[str, Counts]]  # network → frame → counts above the threshold
    thresholds: Mapping[str, float]  # by network
    predicted: set[str]  # the classes that some network predicts, and `class_name`


def match_frames(results: Results, source: PageFrames, class_name: str) -> MatchedFrames:
    """Read and match the labels and every network's boxes of all frames; DataError where a file is broken."""
    truths = {frame: read_labels(source.folder.label(frame)) for frame in source.ids}
    matched = MatchedFrames(class_name, truths, boxes := {}, counts := {}, thresholds := {}, predicted := {class_name})
    nothing = from_rows((), np.zeros((0, 15)))
    for name in results.networks:
        files = {frame: results.predictions / name / f"{frame}.txt" for frame in source.ids}
        if not (results.predictions / name).is_dir():
            raise DataError(f"expected a folder with predictions of {name}, found none", results.predictions / name)
        mine = {frame: read_results(file) if file.exists() else nothing for frame, file in files.items()}
        matches = {frame: match(truths[frame], objects, class_name) for frame, objects in mine.items()}
        least = thresholds[name] = best_threshold(list(matches.values()))
        boxes[name] = {frame: objects.select(objects.scores >= least) for frame, objects in mine.items()}
        counts[name] = {frame: found.at(least) for frame, found in matches.items()}
        predicted.update(*(objects.names for objects in mine.values()))
    return matched


def draw_frames(folder: Path, matched: MatchedFrames, source: PageFrames) -> list[FramePictures]:
    """Choose frames by what student and control find, and draw them into `folder`."""
    chosen = choose(matched.counts[STUDENT], matched.counts[CONTROL])
    heat = source.heat_maps(list(chosen)) if chosen else {}
    return [_draw_frame(folder, matched, source, heat, frame, reason) for frame, reason in chosen.items()]


def _draw_frame(
    folder: Path, matched: MatchedFrames, source: PageFrames, heat: HeatMaps, frame: str, reason: str
) -> FramePictures:
    def save(name: str, drawn: Bytes, alt: str, caption: str) -> Picture:
        drawing.write_picture(folder / f"{frame}-{name}", drawn)
        return Picture(f"{frame}-{name}", drawn.shape[1], drawn.shape[0], alt, caption)

    image, calibration = read_image(source.folder.image(frame)), read_calibration(source.folder.calibration(frame))
    # Half the size: a heat map has no detail that would be lost.
    half = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA).astype(np.uint8)
    truth = matched.truths[frame]
    known = np.array([name in matched.predicted for name in truth.names], dtype=bool)
    rest = np.array([name != "DontCare" for name in truth.names], dtype=bool) & ~known
    outlines = [Layer(truth.select(rest), UNPREDICTED)] if rest.any() else []
    layers = [*outlines, Layer(truth.select(known), TRUTH, filled=True)]
    outlines.append(Layer(truth.select(known), TRUTH))
    photographs, warm = [], []
    for name, by_frame in matched.boxes.items():
        style, boxes, (found, counted, false) = style_of(name), by_frame[frame], matched.counts[name][frame]
        layers.append(Layer(boxes, style))
        drawn = drawing.draw_boxes_3d(image, [*outlines, Layer(boxes, style, filled=True)], calibration)
        many = f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'} of {style.label}"
        alt = f"Camera image of frame {frame} with ground truth and {many}"
        caption = f"{style.label}: {found} of {counted} found{f', {false} false' if false else ''}"
        photographs.append(save(f"{name}.jpg", drawn, alt, caption))
        alt = f"Heat map of {style.label} over frame {frame}: bright where it expects an object's centre"
        drawn = drawing.draw_heat_map(half, heat[name][frame])
        warm.append(save(f"{name}-heat.jpg", drawn, alt, f"{style.label}: heat map"))
    drawn = drawing.add_colour_bar(drawing.colour_depth(read_depth(source.depth_dir / f"{frame}.png")))
    alt = f"Dense depth of frame {frame}: yellow is near, dark blue far; a scale from 2 to 80 m runs below"
    depth = save("depth.jpg", drawn, alt, "Dense depth, which only the teacher sees")
    # From 40 to 80 m ahead, in tens, a little beyond the farthest box.
    farthest_m = max(drawing.placed(layer.objects).locations_m[:, 2].max(initial=0.0) for layer in layers)
    range_m = float(np.clip(10 * np.ceil((farthest_m + 5) / 10), 40, 80))
    drawn = drawing.draw_birds_eye(layers, calibration, image.shape[1], range_m=range_m)
    alt = f"Frame {frame} seen from above, camera at the bottom, ground truth and all networks, rings every 10 m"
    above = save("above.png", drawn, alt, "Seen from above")
    large, small, why = [*photographs, depth], [above, *warm], _why(matched, frame, reason)
    return FramePictures(frame, reason, why, large, small, bool(rest.any()))


def _why(matched: MatchedFrames, frame: str, reason: str) -> str:
    """Say in one sentence what put the frame here."""
    found, counted, false = mine = matched.counts[STUDENT][frame]
    finds = f"{style_of(STUDENT).label} finds {found} of {counted} counted {matched.class_name.lower()}s"
    if reason == "gain":
        return f"{finds}; {style_of(CONTROL).label} finds {matched.counts[CONTROL][frame].found}."
    return f"{finds} and draws {false or 'no'} false box{'es' if false > 1 else ''}: F1 {mine.f1:.2f}."
