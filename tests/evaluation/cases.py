"""Frames for the tests of the evaluation, as text lines and as tables."""

import math
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monokd.classes import KITTI_NAMES
from monokd.evaluation.evaluate import Evaluation, evaluate_results, pair_up
from monokd.evaluation.rules import CLASSES as SCORED
from monokd.evaluation.rules import Band
from monokd.evaluation.table import ap_table
from monokd.kitti.labels import OTHER, LabelTable

DONT_CARE_3D = (-1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0)

Line = tuple[str, list[float]]  # class and 15 numbers, the score last


def line(
    name: str = "Car",
    *,
    box: tuple[float, float, float, float] = (100, 100, 200, 200),
    size: tuple[float, float, float] = (1.5, 1.6, 3.9),
    location: tuple[float, float, float] = (0, 1.7, 20),
    rotation: float = 0.0,
    alpha: float = 0.0,
    truncation: float = 0.0,
    occlusion: float = 0.0,
    score: float = float("nan"),
) -> Line:
    """An object in the middle of the road; without a score it is a label."""
    return name, [truncation, occlusion, alpha, *box, *size, *location, rotation, score]


def dont_care(box: tuple[float, float, float, float]) -> Line:
    return "DontCare", [-1, -1, -10, *box, *DONT_CARE_3D, float("nan")]


def place(k: int, **numbers: float) -> dict[str, Any]:
    """Keywords for the k-th of many objects that do not touch each other in any view."""
    left = 120.0 * k
    return {"box": (left, 100.0, left + 100, 200.0), "location": (10.0 * k, 1.7, 20.0), **numbers}


def table(frames: Sequence[Sequence[Line]]) -> LabelTable:
    lines = [each for frame in frames for each in frame]
    known = [name.lower() for name in KITTI_NAMES]
    classes = [known.index(name.lower()) if name.lower() in known else OTHER for name, _ in lines]
    rows = np.array([numbers for _, numbers in lines], dtype=np.float64).reshape(-1, 15)
    offsets = np.cumsum([0, *(len(frame) for frame in frames)])
    return LabelTable(rows, np.array(classes, dtype=np.int64), offsets.astype(np.int64), (), {})


def write_frames(folder: Path, frames: Sequence[Sequence[Line]], first: int = 0) -> Path:
    """Write FOLDER/000000.txt and on, with all digits; numbers that are NaN are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(frames, start=first):
        text = "".join(f"{name} {' '.join(repr(x) for x in numbers if not math.isnan(x))}\n" for name, numbers in frame)
        (folder / f"{k:06d}.txt").write_text(text)
    return folder


def extract_texts(archive: Path, folder: Path, frames: set[str] | None = None) -> Path:
    """The *.txt files of an archive, or those of some frames, in one folder."""
    folder.mkdir()
    with tarfile.open(archive) as files:
        for member in files:
            name, content = Path(member.name), files.extractfile(member)
            if content is not None and name.suffix == ".txt" and (frames is None or name.stem in frames):
                (folder / name.name).write_bytes(content.read())
    return folder


def score(
    labels: Sequence[Sequence[Line]],
    results: Sequence[Sequence[Line]],
    rule: str = "le",
    classes: Sequence[str] = SCORED,
    band_m: Band = (0.0, math.inf),
) -> Evaluation:
    frames = [str(k) for k in range(len(labels))]
    return evaluate_results(pair_up(frames, table(labels), table(results)), rule, classes, band_m=band_m)


def all_aps(evaluation: Evaluation) -> dict[tuple[str, ...], float | None]:
    """By strict or loose, class, metric, points, difficulty."""
    return {row[:5]: row.ap for row in ap_table(evaluation)}


def ap(
    evaluation: Evaluation, metric: str = "3d", difficulty: str = "moderate", *,
    name: str = "Car", points: str = "R40", iou: str = "strict",
) -> float | None:  # fmt: skip
    return all_aps(evaluation)[iou, name, metric, points, difficulty]


def small_result_set(folder: Path) -> tuple[Path, Path]:
    """Labels and results: 45 frames of one car, of which every ninth is not found; and a cyclist that is."""
    labels: list[list[Line]] = [[line(**place(k % 4))] for k in range(45)]
    results = [[line(**place(k % 4, score=1 - k / 100))] if k % 9 else [] for k in range(45)]
    labels[1].append(line("Cyclist", **place(6)))
    results[1].append(line("Cyclist", **place(6, score=0.5)))
    return write_frames(folder / "labels", labels), write_frames(folder / "results", results)
