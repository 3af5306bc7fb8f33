"""The `monokd` command. Imports wait until a command needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monokd.errors import run

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Monocular 3D detection: KITTI evaluation, dense depth, knowledge distillation.",
)  # fmt: skip

Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 means one a core.")]


@app.command()
def check(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout.")],
    depth: Annotated[Path | None, typer.Option(help="A folder of depth PNGs, to check them too.")] = None,
) -> None:
    """Report what is missing or broken in a KITTI folder, one line each; exit status 1 if anything is."""
    from monokd.commands.check import check_command

    check_command(root, depth)


@app.command()
def unpack(
    zips: Annotated[list[Path], typer.Argument(help="KITTI's object zips, as they were downloaded.")],
    root: Annotated[Path, typer.Argument(help="The folder that training and testing go into.")],
) -> None:
    """Unpack KITTI's official zip files, safely; a run that was stopped can be taken up again."""
    from monokd.commands.unpack import unpack_command

    unpack_command(zips, root)


@app.command()
def densify(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout.")],
    out: Annotated[Path, typer.Argument(help="Where the depth PNGs go.")],
    split: Annotated[Path | None, typer.Option(help="A file of frame ids; default: every frame.")] = None,
    workers: Workers = 0,
) -> None:
    """Make dense depth maps (uint16 PNG, metres × 256) from the LiDAR scans of ROOT/training."""
    from monokd.commands.densify import densify_command
    from monokd.progress import worker_count

    densify_command(root, out, split=split, workers=worker_count(workers))


@app.command()
def evaluate(
    labels: Annotated[Path, typer.Argument(help="Folder of label files.")],
    results: Annotated[Path, typer.Argument(help="Folder of result files.")],
    split: Annotated[str | None, typer.Option(help="train, val, trainval, or a file of frame ids.")] = None,
    rule: Annotated[str, typer.Option(help="le: the current official kit; lt: the older one.")] = "le",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every AP as CSV.")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write precision and recall as CSV.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of frames for 95 % intervals.")] = 0,
    groups: Annotated[
        Path | None, typer.Option(help="Resample whole groups, such as drives: a file of lines `frame group`.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Other results: paired differences.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    classes: Annotated[str, typer.Option(help="Which of the three.")] = "Car,Pedestrian,Cyclist",
) -> None:
    """Score results by the KITTI rules: AP R40 and R11; bbox, bev, 3d, aos; easy, moderate, hard."""
    from monokd.commands.evaluate import evaluate as evaluate_command

    evaluate_command(
        labels, results, split=split, rule=rule, json_output=json, csv=csv, curves=curves, bootstrap=bootstrap,
        groups=groups, against=against, seed=seed, classes=classes,
    )  # fmt: skip


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model file (safetensors).")],
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.")],
    calib: Annotated[Path, typer.Argument(help="A calibration file, or a folder with one an image.")],
    out: Annotated[Path, typer.Argument(help="Where the result files go.")],
    draw: Annotated[bool, typer.Option("--draw", help="Also write pictures with the boxes.")] = False,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score of a peak.")] = 0.2,
    behaviour: Annotated[str, typer.Option(help="published or corrected decoding.")] = "corrected",
) -> None:
    """Detect objects in images; KITTI text out."""
    from monokd.commands.predict import predict_command

    predict_command(model, images, calib, out, draw=draw, score_threshold=score_threshold, behaviour=behaviour)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="A model file (safetensors).")],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    behaviour: Annotated[str, typer.Option(help="published or corrected decoding.")] = "corrected",
) -> None:
    """Write a model as ONNX, checked against torch; examples/onnx_predict.py runs it without torch."""
    from monokd.commands.export import export_command

    export_command(model, out, behaviour=behaviour)


@app.command()
def submit(
    model: Annotated[Path, typer.Argument(help="A model file (safetensors).")],
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout, with testing/.")],
    out: Annotated[Path, typer.Argument(help="The zip file to write.")],
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score of a peak.")] = 0.2,
    behaviour: Annotated[str, typer.Option(help="published or corrected decoding.")] = "corrected",
) -> None:
    """Detect objects in the test frames; a checked zip for KITTI's server."""
    from monokd.commands.submit import submit_command

    submit_command(model, root, out, score_threshold=score_threshold, behaviour=behaviour)


@app.command()
def summarize(
    by: Annotated[str, typer.Option(help="The parameter whose values are compared.")] = "loss",
    model: Annotated[str, typer.Option(help="student, baseline or teacher.")] = "student",
    control: Annotated[str | None, typer.Option(help="The value to compare with; of losses: none.")] = None,
    rev: Annotated[list[str] | None, typer.Option(help="A commit whose experiments to read; default HEAD.")] = None,
    all_commits: Annotated[bool, typer.Option("--all-commits", help="Those of every commit.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print GitHub tables.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Losses × seeds of this repository's experiments: mean, spread, paired difference."""
    from monokd.commands.summarize import summarize_command

    summarize_command(
        Path(), by=by, model=model, control=control, revisions=tuple(rev or ()), all_commits=all_commits,
        markdown=markdown, json_output=json,
    )  # fmt: skip


@app.command(name="import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A published checkpoint (.pth).")],
    out: Annotated[Path, typer.Argument(help="The model file to write.")],
    part: Annotated[str | None, typer.Option(help="student or teacher, of a distillation checkpoint.")] = None,
) -> None:
    """Turn a published checkpoint into a model file, with a table of every key."""
    from monokd.commands.import_checkpoint import import_command

    import_command(checkpoint, out, part=part)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
