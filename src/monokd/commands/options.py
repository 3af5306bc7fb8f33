"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from monokd.inference.predict import Accelerator

Model = Annotated[Path, typer.Argument(help="A model file (safetensors).")]
ScoreThreshold = Annotated[float, typer.Option(min=0, max=1, help="Least score of a peak.")]
ScoreDecimals = Annotated[int, typer.Option(min=1, max=9, help="Digits of scores after the point.")]
ReadWorkers = Annotated[int, typer.Option(min=0, help="Processes that read images beside the one that computes.")]
Compute = Annotated[Accelerator, typer.Option(help="What computes: auto (a GPU if there is one), cpu or cuda.")]
