"""Stage `report`: the tables, the curves and the pictures on one page. Usage: python stages/report.py"""

import shutil
from html import escape
from pathlib import Path

from monokd.errors import run, say
from monokd.files import read_json, write_json, write_text
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import has_labels, split_frames
from monokd.params import Params, load_params
from monokd.report.frames import PageFrames
from monokd.report.heat_maps import heat_maps
from monokd.report.networks import NETWORKS, box_source
from monokd.report.page import Background, write_report
from monokd.report.previous import find_previous
from monokd.report.results import read_results
from monokd.report.summary import read_metrics, summary

METRICS, MODELS, DEPTH = Path("metrics"), Path("data/models"), Path("data/depth")
TRAINED = ("teacher", "baseline", "student")
PAGE, PICTURES, SUMMARY = (METRICS / name for name in ("report.html", "report", "summary.json"))


def main() -> None:
    params = load_params()
    shutil.rmtree(PICTURES, ignore_errors=True)  # pictures of frames that another run chose
    if not has_labels(params.active.data.val_split):
        unscored(params.active.data.val_split)
        return
    results = read_results(METRICS, NETWORKS, predictions=Path("data/predictions"))
    write_json(SUMMARY, summary(results.ap, NETWORKS))
    folder = KittiFolder(params.data_root)
    write_report(
        PAGE,
        title="monokd: distillation for monocular 3D detection",
        results=results,
        frames=PageFrames(
            folder,
            split_frames(params.data_root, params.active.data.val_split),
            depth_dir=DEPTH,
            heat_maps=lambda ids: {
                name: heat_maps(MODELS / f"{name}.safetensors", folder, ids, depth_dir=DEPTH) for name in NETWORKS
            },
        ),
        background=background(params),
        previous=find_previous({name: METRICS / name / "kitti.json" for name in NETWORKS}, Path("params.yaml")),
    )


def unscored(split: str) -> None:
    """The outputs of the stage on frames without labels; a table and pictures need them."""
    text = f"Split {split} has no labels: nothing is scored. Result files are in data/predictions."
    say(f"report: {text}")
    write_json(SUMMARY, {})
    write_text(PAGE, f'<!doctype html><html lang="en"><meta charset="utf-8"><p>{escape(text)}</p>\n')
    PICTURES.mkdir(parents=True)


def background(params: Params) -> Background:
    labelled = len(split_frames(params.data_root, params.active.data.train_split))
    quality = read_metrics("labels")
    source = box_source(quality) or "features alone"
    unlabelled = f", {quality['frames']} without labels, {source}" if quality.get("frames") else ""
    profile = params.active
    settings = params.model_dump(include={"profile", "loss", "seed", "behaviour", "quirks"})
    settings |= {"behaviour": profile.behaviour if params.behaviour == "profile" else params.behaviour}
    settings |= {"weights": params.term_weights(), "data": profile.data.model_dump()}
    settings |= {"width": profile.model.width, "epochs": {n: getattr(profile, n).epochs for n in TRAINED}}
    return Background(
        settings=settings,
        training_data=f"{labelled} labelled frames{unlabelled}",
        distilled=bool(params.term_weights()),
        depth=read_json(METRICS / "depth.json"),
        label_quality=quality,
        resamples=profile.evaluate.bootstrap,
        spread=read_metrics("spread"),
    )


if __name__ == "__main__":
    run(main)
