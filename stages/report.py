"""Stage `report`: the table, the curves and the pictures on one page. Usage: python stages/report.py"""

import shutil
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monokd.errors import run, say
from monokd.files import read_json, write_json, write_text
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames
from monokd.models.checkpoint import load_detector
from monokd.params import Params, load_params
from monokd.report.heat import heat_maps
from monokd.report.inputs import FramePicture, ModelResult
from monokd.report.page import write_report
from monokd.report.previous import find_previous
from monokd.report.summary import summary
from monokd.samples.dataset import Frames, InputSettings

METRICS, PREDICTIONS, MODELS, DEPTH = Path("metrics"), Path("data/predictions"), Path("data/models"), Path("data/depth")
NAMES = ("teacher", "baseline", "student")


def main() -> None:
    params = load_params()
    if not has_labels(params.active.data.val_split):
        unscored(params)
        return
    models = [result(name) for name in NAMES]
    write_json(METRICS / "summary.json", summary({model.name: model.metrics for model in models}))
    shutil.rmtree(METRICS / "report", ignore_errors=True)  # pictures of frames that another run chose
    write_report(
        METRICS / "report.html",
        title="monokd: distillation for monocular 3D detection",
        models=models,
        depth_metrics=read_json(METRICS / "depth.json"),
        frames=pictures(params),
        heat_maps=lambda frames: {name: heat_of(name, frames, params) for name in NAMES},
        settings=settings(params),
        previous=find_previous({name: METRICS / name / "kitti.json" for name in NAMES}, Path("params.yaml")),
        distilled=any(params.loss_weights.model_dump().values()),
    )


def unscored(params: Params) -> None:
    """The outputs of the stage on frames without labels; a table and pictures need them."""
    split = params.active.data.val_split
    text = f"Split {split} has no labels: nothing is scored. Result files are in data/predictions."
    say(f"report: {text}")
    write_json(METRICS / "summary.json", {})
    write_text(METRICS / "report.html", f'<!doctype html><html lang="en"><meta charset="utf-8"><p>{escape(text)}</p>\n')
    shutil.rmtree(METRICS / "report", ignore_errors=True)
    (METRICS / "report").mkdir(parents=True)


def result(name: str) -> ModelResult:
    """What the stages before this one say about a network."""
    folder = METRICS / name
    return ModelResult(
        name,
        metrics=read_json(folder / "kitti.json") | read_json(folder / "intervals.json"),
        history=folder / "history.csv",
        curves=folder / "pr.csv",
        distances=folder / "distance.csv",
        predictions=PREDICTIONS / name,
    )


def pictures(params: Params) -> list[FramePicture]:
    """The files of every validation frame."""
    folder = KittiFolder(params.data_root)
    return [
        FramePicture(frame, folder.image(frame), folder.calibration(frame), folder.label(frame), DEPTH / f"{frame}.png")
        for frame in split_frames(params.data_root, params.active.data.val_split)
    ]


def heat_of(name: str, frames: Sequence[str], params: Params) -> Mapping[str, NDArray[np.float32]]:
    """The heat maps of a few frames; on the CPU, for so few it is as fast."""
    detector, info = load_detector(MODELS / f"{name}.safetensors")
    sees_depth = info.kind == "depth"
    quirks, classes = params.resolved_quirks(), params.active.data.classes
    settings = InputSettings(info.height_px, info.width_px, classes, quirks.depth_scaled_twice)
    samples = Frames(
        KittiFolder(params.data_root),
        frames,
        settings,
        depth_dir=DEPTH if sees_depth else None,
    )
    return heat_maps(detector, samples, sees_depth=sees_depth)


def settings(params: Params) -> dict[str, Any]:
    """What the page says about how the results were made."""
    profile = params.active
    return {
        "profile": params.profile,
        "loss": params.loss,
        "weights": params.loss_weights.model_dump(),
        "seed": params.seed,
        "behaviour": profile.behaviour if params.behaviour == "profile" else params.behaviour,
        "quirks": params.quirks,
        "data": profile.data.model_dump(),
        "width": profile.model.width,
        "epochs": {name: getattr(profile, name).epochs for name in NAMES},
    }


if __name__ == "__main__":
    run(main)
