"""KITTI's evaluation again, in plain Python that follows the written rules step by step.

It shares no code with the package: it matches every frame at every threshold, and shapely intersects the boxes.
"""

import math
from collections import namedtuple

from shapely.geometry import Polygon

from tests.evaluation.cases import Line

LIMITS = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.30), "hard": (25, 2, 0.50)}
NEIGHBOUR = {"car": "van", "pedestrian": "person_sitting", "cyclist": ""}
STRICT = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
LOOSE = {"car": 0.5, "pedestrian": 0.25, "cyclist": 0.25}


Box = namedtuple(
    "Box", "name truncation occlusion alpha left top right bottom height width length x y z rotation score"
)


def footprint(box: Box) -> Polygon:
    c, s = math.cos(box.rotation) / 2, math.sin(box.rotation) / 2
    corners = ((i * box.length, j * box.width) for i, j in ((1, 1), (1, -1), (-1, -1), (-1, 1)))
    return Polygon([(box.x + c * length + s * width, box.z - s * length + c * width) for length, width in corners])


def image_shared(a: Box, b: Box) -> float:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    return float(width * height) if width > 0 and height > 0 else 0.0


def image_area(a: Box) -> float:
    return float((a.right - a.left) * (a.bottom - a.top))


def overlap(a: Box, b: Box, metric: str) -> float:
    if metric == "bbox":
        shared = image_shared(a, b)
        return shared / (image_area(a) + image_area(b) - shared) if shared else 0.0
    if min(a.width, a.length, b.width, b.length) <= 0:
        return 0.0
    ground = float(footprint(a).intersection(footprint(b)).area)
    if metric == "bev":
        return float(ground / (a.width * a.length + b.width * b.length - ground))
    high = max(0.0, min(a.y, b.y) - max(a.y - a.height, b.y - b.height))
    both = a.height * a.width * a.length + b.height * b.width * b.length
    return float(ground * high / (both - ground * high)) if high else 0.0


class Reference:
    """One class, metric and difficulty over some frames."""

    def __init__(
        self, labels: list[list[Line]], results: list[list[Line]], name: str, metric: str, difficulty: str,
        loose: bool, rule: str,
    ) -> None:  # fmt: skip
        self.labels = [[Box(n.lower(), *numbers) for n, numbers in frame] for frame in labels]
        self.results = [[Box(n.lower(), *numbers) for n, numbers in frame] for frame in results]
        self.name, self.metric, self.rule = name.lower(), "bbox" if metric == "aos" else metric, rule
        self.similarity = metric == "aos"
        self.iou = (LOOSE if loose and self.metric != "bbox" else STRICT)[self.name]
        self.height, self.occlusion, self.truncation = LIMITS[difficulty]

    def label_state(self, box: Box) -> str:
        height = box.bottom - box.top
        low = height <= self.height if self.rule == "le" else height < self.height
        if box.name == self.name:
            return "ignored" if low or box.occlusion > self.occlusion or box.truncation > self.truncation else "valid"
        return "ignored" if box.name == NEIGHBOUR[self.name] else "invisible"

    def result_state(self, box: Box) -> str:
        if abs(box.top - box.bottom) < self.height:
            return "ignored"
        return "valid" if box.name == self.name else "invisible"

    def candidates(self, label: Box, results: list[Box], taken: set[int], threshold: float = -math.inf) -> list[int]:
        """The detections that a label may take."""
        return [
            j
            for j, result in enumerate(results)
            if self.label_state(label) != "invisible" and self.result_state(result) != "invisible" and j not in taken
            and result.score >= threshold and overlap(result, label, self.metric) > self.iou
        ]  # fmt: skip

    def first_pass(self, labels: list[Box], results: list[Box]) -> list[float]:
        """Scores of the true positives where each label takes the surest."""
        taken: set[int] = set()
        scores = []
        for label in labels:
            near = self.candidates(label, results, taken)
            if near:
                best = max(near, key=lambda j: float(results[j].score))  # the first of equals
                taken.add(best)
                if self.label_state(label) == self.result_state(results[best]) == "valid":
                    scores.append(results[best].score)
        return scores

    def second_pass(self, labels: list[Box], results: list[Box], threshold: float) -> tuple[int, int, float]:
        """True and false positives and the summed similarity where each label takes the closest."""
        taken: set[int] = set()
        right, wrong, alike = 0, 0, 0.0
        for label in labels:
            near = self.candidates(label, results, taken, threshold)
            valid = {
                j: overlap(results[j], label, self.metric) for j in near if self.result_state(results[j]) == "valid"
            }
            if near:
                best = max(valid, key=lambda j: valid[j]) if valid else near[0]  # the first of equals
                taken.add(best)
                if self.label_state(label) == "valid" and valid:
                    right += 1
                    alike += (1 + math.cos(label.alpha - results[best].alpha)) / 2
        for j, result in enumerate(results):
            if self.result_state(result) == "valid" and j not in taken and result.score >= threshold:
                regions = [label for label in labels if label.name == "dontcare" and image_shared(result, label) > 0]
                shares = [image_shared(result, region) / image_area(result) for region in regions]
                wrong += not (self.metric == "bbox" and any(share > self.iou for share in shares))
        return right, wrong, alike

    def thresholds(self) -> list[float]:
        pairs = list(zip(self.labels, self.results, strict=True))
        scores = sorted((score for frame in pairs for score in self.first_pass(*frame)), reverse=True)
        objects = sum(self.label_state(label) == "valid" for frame in self.labels for label in frame)
        chosen, current = [], 0.0
        for i, score in enumerate(scores):
            last = i == len(scores) - 1
            if last or (i + 2) / objects - current >= current - (i + 1) / objects:
                chosen.append(score)
                current += 1 / 40
        return chosen

    def curve(self) -> list[float]:
        values = []
        for threshold in self.thresholds():
            passes = [self.second_pass(*frame, threshold) for frame in zip(self.labels, self.results, strict=True)]
            right, wrong = sum(p[0] for p in passes), sum(p[1] for p in passes)
            top = sum(p[2] for p in passes) if self.similarity else right
            values.append(top / (right + wrong) if right + wrong else math.nan)
        values += [0.0] * (41 - len(values))
        rest = [[later for later in values[i:] if not math.isnan(later)] for i in range(41)]
        return [math.nan if math.isnan(value) else max(after) for value, after in zip(values, rest, strict=True)]

    def ap(self) -> tuple[float, float]:
        """R40 and R11 in percent."""
        curve = self.curve()
        return 100 * sum(curve[1:]) / 40, 100 * sum(curve[::4]) / 11

    def defined(self) -> bool:
        """Where every detection has its boxes and angle."""
        return any(box.name == self.name for frame in self.results for box in frame)
