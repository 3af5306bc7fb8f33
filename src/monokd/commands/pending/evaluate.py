"""The `monokd evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monokd.commands.evaluate import evaluate_command


def evaluate(
    labels: Annotated[Path, typer.Argument(help="Folder of label files.")],
    results: Annotated[Path, typer.Argument(help="Folder of result files.")],
    split: Annotated[str | None, typer.Option(help="train, val, trainval, or a file of frame ids.")] = None,
    rule: Annotated[str, typer.Option(help="le: the current official kit; lt: the older one.")] = "le",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every AP as CSV.")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write precision and recall as CSV.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of frames for 95 % intervals.")] = 0,
    against: Annotated[Path | None, typer.Option(help="Other results: paired differences.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    classes: Annotated[str, typer.Option(help="Which of the three.")] = "Car,Pedestrian,Cyclist",
) -> None:
    """Score results by the KITTI rules: AP R40 and R11; bbox, bev, 3d, aos; easy, moderate, hard."""
    evaluate_command(
        labels, results, split=split, rule=rule, json_output=json, csv=csv, curves=curves, bootstrap=bootstrap,
        against=against, seed=seed, classes=classes.split(","),
    )  # fmt: skip
