"""Stage `report`: the table, the curves and the pictures on one page. Usage: python stages/report.py"""

from pathlib import Path
from typing import Any

from monokd.errors import run
from monokd.evaluation.bootstrap import compare, intervals
from monokd.evaluation.evaluate import Evaluation, evaluate_folders
from monokd.evaluation.output import Report, report_json
from monokd.files import read_json, write_json
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import split_frames
from monokd.params import Params, load_params
from monokd.report.inputs import FramePicture, ModelResult
from monokd.report.page import write_report
from monokd.report.summary import summary

METRICS = Path("metrics")
MODELS = ("teacher", "baseline", "student")
BOOTSTRAP_SEED = 0


def main() -> None:
    params = load_params()
    folder = KittiFolder(params.data_root)
    frames = split_frames(params.data_root, params.active.data.val_split)
    evaluations = {
        name: evaluate_folders(
            folder.folder / "label_2",
            Path("data/predictions") / name,
            frames,
            params.active.evaluate.rule,
            params.active.data.classes,
        )
        for name in MODELS
    }
    models = [
        ModelResult(
            name,
            metrics=with_error_bars(name, evaluations, params.active.evaluate.bootstrap),
            history=METRICS / name / "history.csv",
            curves=METRICS / name / "pr.csv",
            predictions=Path("data/predictions") / name,
        )
        for name in MODELS
    ]
    pictures = [
        FramePicture(
            frame, folder.image(frame), folder.calibration(frame), folder.label(frame), Path(f"data/depth/{frame}.png")
        )
        for frame in frames
    ]
    write_json(METRICS / "summary.json", summary({model.name: model.metrics for model in models}))
    write_report(
        METRICS / "report.html",
        title="monokd: distillation for monocular 3D detection",
        models=models,
        depth_metrics=read_json(METRICS / "depth.json"),
        frames=pictures,
        settings=settings(params),
        distilled=any(params.loss_weights.model_dump().values()),
    )


def with_error_bars(name: str, evaluations: dict[str, Evaluation], resamples: int) -> dict[str, Any]:
    """The metrics of one network with 95 % intervals, the student's with its paired difference to the baseline too."""
    evaluation = evaluations[name]
    if not resamples:
        return report_json(Report(evaluation))
    if name != "student":
        ranges = intervals(evaluation, resamples, BOOTSTRAP_SEED)
        return report_json(Report(evaluation, resamples=resamples, seed=BOOTSTRAP_SEED, intervals=ranges))
    ranges, differences = compare(evaluation, evaluations["baseline"], resamples, BOOTSTRAP_SEED)
    return report_json(
        Report(
            evaluation,
            resamples=resamples,
            seed=BOOTSTRAP_SEED,
            intervals=ranges,
            against="baseline",
            differences=differences,
        )
    )


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
        "epochs": {name: getattr(profile, name).epochs for name in MODELS},
    }


if __name__ == "__main__":
    run(main)
