"""`monokd history`: a student's training held to what the authors' own training logged."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from monokd.errors import DataError
from monokd.report.results import read_table
from monokd.typing import WEIGHT

LOGS = Path(__file__).parent / "published_logs"
WINDOW = 3  # epochs on either side that make up the range
MARGIN = 0.15  # of the range's ends: a mean over 50 batches against one over an epoch, and another draw of the data
WEIGHT_TOLERANCE = 0.2  # task weights follow their own run's losses


def history(
    csv: Annotated[Path, typer.Argument(help="metrics/student/history.csv of a run with profile kitti, published.")],
    method: Annotated[
        str, typer.Option(help="monoskd or monodistill, whose training logged what is compared.")
    ] = "monoskd",
) -> None:
    """Compare a student's losses and task weights by epoch with the authors' log; exit status 1 where they leave it."""
    if method not in ("monoskd", "monodistill"):
        raise DataError(f"--method: expected monoskd or monodistill, found {method!r}")
    own, published = (read_table(path, (), ("epoch",)) for path in (csv, LOGS / f"{method}.csv"))
    columns = [name for name in published.columns if name in own.columns and name not in ("epoch", "lr")]
    if not columns:
        raise DataError("expected columns epoch and loss terms as a training stage writes them", csv)
    outside = 0
    for name in columns:
        departure = _departure(own[["epoch", name]].dropna(), published[["epoch", name]].dropna(), name)
        outside += departure is not None
        typer.echo(f"{name:>16}  {departure or 'within the published range'}")
    compared = min(len(own), len(published))
    typer.echo(f"{compared} epochs compared with {method}: {len(columns) - outside} of {len(columns)} columns within")
    if outside:
        raise typer.Exit(1)


def _departure(own: pd.DataFrame, published: pd.DataFrame, name: str) -> str | None:
    """Say where a column first leaves the published range, or None."""
    outside = []
    for epoch, value in own[own["epoch"] <= published["epoch"].max()].itertuples(index=False):
        near = published[(published["epoch"] - epoch).abs() <= WINDOW][name]
        low, high = float(near.min()), float(near.max())
        slack = WEIGHT_TOLERANCE if name.startswith(WEIGHT) else MARGIN * max(abs(low), abs(high))
        if not low - slack <= value <= high + slack:
            outside.append(f"epoch {epoch:.0f}: {value:.4g}, published {low:.4g} to {high:.4g}")
    return f"leaves it at {outside[0]} ({len(outside)} epochs outside)" if outside else None
