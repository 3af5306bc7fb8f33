"""Random inputs of the report, plainly not results: jittered labels as boxes, noise as images, made-up figures."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from monokd.kitti.calibration import Calibration, write_calibration
from monokd.kitti.frames import KittiFolder
from monokd.kitti.labels import write_results
from monokd.kitti.objects import Objects, from_rows
from monokd.report.drawing import box_corners
from monokd.report.frames import PageFrames
from monokd.report.networks import NETWORKS
from monokd.report.results import AP_COLUMNS, BAND_COLUMNS, CURVE_COLUMNS, KEY, Results, read_results
from monokd.typing import Floats32
from tests.conftest import write_labels

SIGMA_M = {"teacher": 0.3, "baseline": 1.6, "control": 1.3, "student": 1.0}
LEVELS = {"teacher": 24.0, "baseline": 9.0, "control": 11.0, "student": 15.0}
SIZE_PX = (320, 96)
IOUS = ("strict", "loose")


def camera() -> Calibration:
    """A camera of 320×96 pixels, 1.65 m above the ground."""
    P2 = np.array([[180.0, 0, 160, 11.0], [0, 180.0, 44, 0.05], [0, 0, 1, 0.003]])
    turn = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
    return Calibration(P2, np.eye(3), turn)


def objects(rows: list[tuple[str, float, float, float]]) -> Objects:
    """Objects without scores from (class, x, z, rotation): car-sized, on the ground, 2D boxes from their corners."""
    numbers = np.zeros((len(rows), 15))
    for row, (_, x, z, rotation) in zip(numbers, rows, strict=True):
        row[7:15] = 1.5, 1.6, 3.9, x, 1.65, z, rotation, np.nan
    made = from_rows(tuple(row[0] for row in rows), numbers)
    if not rows:
        return made
    pixels = camera().project(box_corners(made).reshape(-1, 3))[0].reshape(-1, 8, 2)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    return replace(made, boxes_px=boxes)


def scored(made: Objects, scores: list[float]) -> Objects:
    return replace(made, scores=np.array(scores, dtype=float))


def jittered(truth: Objects, rng: np.random.Generator, sigma_m: float) -> Objects:
    """Labels moved at random, some dropped, with random scores: stands in for a network's answer."""
    found = truth.select(rng.random(len(truth)) > 0.1 + 0.1 * sigma_m)
    shift = rng.normal(0, sigma_m, (len(found), 3)) * np.array([0.3, 0.05, 1.0])
    return replace(found, locations_m=found.locations_m + shift, scores=rng.uniform(0.2, 1.0, len(found)))


def ap_rows(
    rng: np.random.Generator, level: float, classes: Sequence[str] = ("Car",), difference: float | None = None
) -> list[dict[str, Any]]:
    """Made-up figures around `level` in the form of ap.csv, one of them undefined, with intervals."""
    rows = []
    for iou, share in (("strict", 1.0), ("loose", 2.2)):
        for key in product(classes, ("3d", "bev", "bbox", "aos"), ("R40", "R11"), ("easy", "moderate", "hard")):
            ap = share * level + rng.uniform(0, 4)
            row: dict[str, Any] = dict(zip(("class", "metric", "points", "difficulty"), key, strict=True))
            row |= {"iou": iou, "ap": ap, "low": ap - 2, "high": ap + 2.5}
            if difference is not None:
                row |= {"difference": difference, "difference_low": difference - 3, "difference_high": difference + 3}
            if key[1:] == ("aos", "R11", "hard"):
                row |= dict.fromkeys(AP_COLUMNS)
            rows.append(row)
    return rows


def table(rows: dict[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """`Results.ap` of a few rows a network; class Car, moderate and R40 where they do not say."""
    usual = {"class": "Car", "difficulty": "moderate", "points": "R40"}
    every = [usual | {"network": name} | row for name, mine in rows.items() for row in mine]
    return pd.DataFrame(every, columns=["network", *KEY, "points", *AP_COLUMNS])


def results_of(networks: Sequence[str] = ("student",), ap: pd.DataFrame | None = None, **changed: Any) -> Results:
    """Results without anything but what is given."""
    curves, bands = (pd.DataFrame(columns=["network", *KEY, *more]) for more in (CURVE_COLUMNS, BAND_COLUMNS))
    ap = table({}) if ap is None else ap
    return replace(Results(tuple(networks), ap, curves, bands, pd.DataFrame(), Path(), 0, "le"), **changed)


def git(*arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def write_ap(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    pd.DataFrame(rows, columns=[*KEY, "points", *AP_COLUMNS]).to_csv(path, index=False)


def write_history(path: Path, terms: Sequence[str]) -> None:
    epoch = np.arange(1, 31)
    columns = {"epoch": epoch, "step": epoch * 10, "lr": np.full(30, 1e-3)}
    for i, term in enumerate(terms):
        columns |= {term: 0.2 + 3 * np.exp(-epoch / 6), f"weight_{term}": np.clip((epoch - 3 * i) / 10, 0, 1)}
    pd.DataFrame(columns).to_csv(path, index=False)


def write_curves(path: Path, reach: float) -> None:
    recall, rows = np.linspace(0, 1, 41), []
    for iou, metric in product(IOUS, ("bbox", "bev", "3d", "aos")):
        precision = np.where(recall < reach, 1 - (recall / reach) ** 2, 0.0)
        rows += [(iou, "Car", metric, "moderate", *point) for point in zip(recall, precision, strict=True)]
    pd.DataFrame(rows, columns=[*KEY, *CURVE_COLUMNS]).to_csv(path, index=False)


def write_distances(path: Path, level: float, classes: Sequence[str]) -> None:
    """Made-up AP that falls with distance; the last band is empty."""
    rows: list[Any] = []
    for key in product(IOUS, classes, ("3d", "bev"), ("moderate",)):
        for far, ends_m in enumerate(((0, 15), (15, 25), (25, 35)), start=1):
            rows.append((*key, *ends_m, 90 - 20 * far, level / far, 0.8 * level / far, 1.2 * level / far))
        rows.append((*key, 35, 50, 0, None, None, None))
    pd.DataFrame(rows, columns=[*KEY, *BAND_COLUMNS]).to_csv(path, index=False)


def spot() -> Floats32:
    """A heat map for 320×96 pixels with one warm cell."""
    heat = np.zeros((24, 80), dtype=np.float32)
    heat[12, 40] = 1
    return heat


def heat_maps(frames: Sequence[str]) -> dict[str, dict[str, Floats32]]:
    return {name: dict.fromkeys(frames, spot()) for name in NETWORKS}


def write_results_of(folder: Path, truths: dict[str, Objects], classes: Sequence[str] = ("Car",)) -> Results:
    """Everything that stages write of pretended networks, read back: `folder`/metrics and `folder`/predictions."""
    rng = np.random.default_rng(0)
    for name, level in LEVELS.items():
        mine = folder / "metrics" / name
        mine.mkdir(parents=True)
        for frame, truth in truths.items():
            write_results(folder / "predictions" / name / f"{frame}.txt", jittered(truth, rng, SIGMA_M[name]))
        terms = ("heatmap", "offset_2d", "depth", *(("spearman",) if name == "student" else ()), "total")
        write_history(mine / "history.csv", terms)
        write_curves(mine / "pr.csv", level / 30)
        write_distances(mine / "distance.csv", 2 * level, classes)
        write_ap(mine / "ap.csv", ap_rows(rng, level, classes, None if name == "control" else level - 11))
        (mine / "kitti.json").write_text('{"frames": 200, "rule": "le"}')
    return read_results(folder / "metrics", NETWORKS, folder / "predictions")


def write_frames(folder: Path, count: int = 6) -> tuple[PageFrames, dict[str, Objects]]:
    """Frames of noise with a few cars each."""
    rng = np.random.default_rng(0)
    source = PageFrames(KittiFolder(folder), [f"{n:06d}" for n in range(count)], folder / "depth", heat_maps)
    for path in (source.folder.folder / "image_2", folder / "depth"):
        path.mkdir(parents=True)
    truths = {}
    for number, frame in enumerate(source.ids):
        image = rng.integers(60, 140, (SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
        cv2.imwrite(str(source.folder.image(frame)), image)
        depth = np.linspace(80, 4, SIZE_PX[1])[:, None] * np.ones((1, SIZE_PX[0]))
        cv2.imwrite(str(folder / "depth" / f"{frame}.png"), (depth * 256).astype(np.uint16))
        write_calibration(source.folder.calibration(frame), camera())
        places = [("Car", rng.uniform(-6, 6), 9.0 + 7 * i, rng.uniform(-3, 3)) for i in range(1 + number % 4)]
        truths[frame] = objects(places)
        write_labels(source.folder.label(frame), truths[frame])
    return source, truths
