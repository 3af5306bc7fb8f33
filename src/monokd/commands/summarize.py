"""The `monokd summarize` command: losses × seeds of this repository's experiments."""

import json as json_module
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console

from monokd.commands.experiments import Selection, read_experiments, select_runs
from monokd.errors import DataError, printable, say
from monokd.evaluation.rules import LOOSE_IOU, STRICT_IOU
from monokd.report.tables import UNDEFINED, Cell, Column, Table, signed, to_markdown, to_rich


def summarize(
    by: Annotated[str, typer.Option(help="The parameter whose values are compared.")] = "loss",
    model: Annotated[str, typer.Option(help="student, control, baseline or teacher.")] = "student",
    control: Annotated[str | None, typer.Option(help="The value to compare with; default: the model control.")] = None,
    rev: Annotated[list[str] | None, typer.Option(help="A commit whose experiments to read; default HEAD.")] = None,
    all_commits: Annotated[bool, typer.Option("--all-commits", help="Those of every commit.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print GitHub tables.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Losses × seeds of this repository's experiments: mean, spread, paired difference.

    What is left out is said on stderr.
    """
    experiments = read_experiments(Path(), tuple(rev or ()), all_commits=all_commits)
    selection = select_runs(experiments, by=by, model=model, control=control)
    if json:
        print(json_module.dumps(as_json(selection, by, model), indent=2, allow_nan=False))
    else:
        for class_name, runs in selection.runs.groupby("class", sort=False):
            table = to_table(runs, selection.control, by)
            show(table, f"{class_name}, moderate, AP|R40 of the {model}; differences paired by seed", markdown=markdown)
        for name, reason in selection.left_out:
            say(f"left out: {name}: {reason}")
    if selection.runs.empty:
        raise DataError("expected experiments with results, found none; `dvc repro` or `dvc exp run` makes them")


def statistics(runs: pd.DataFrame) -> pd.DataFrame:
    """Compute mean and spread over seeds, and those of the differences to the control.

    A difference is paired: a seed's run is compared with the control of the same seed, so that what both share (data,
    start, order of frames) cancels. Spreads are sample standard deviations (n − 1). NaN where undefined. One row a
    class, metric and value; `wins` says on how many of the paired seeds the value beats the control.
    """
    runs = runs.assign(difference=runs["result"] - runs["control"])
    runs["paired"] = runs["seed"].where(runs["difference"].notna())
    numbers = runs.groupby(["class", "metric", "value"], sort=False).agg(
        seeds=("seed", tuple),
        mean=("result", "mean"),
        spread=("result", "std"),
        paired_seeds=("paired", lambda seeds: tuple(seeds.dropna().astype(int))),
        difference=("difference", "mean"),
        difference_spread=("difference", "std"),
        wins=("difference", lambda differences: (differences > 0).sum()),
    )
    return numbers.reset_index()


def to_table(runs: pd.DataFrame, control: str, by: str) -> pd.DataFrame:
    """Write the statistics of one class as text: a row a value, two columns a metric."""
    rows: list[dict[str, str]] = []
    for value, group in statistics(runs).groupby("value", sort=False):
        seeds = group["seeds"].map(len)
        least, most = seeds.min(), seeds.max()
        row = {by.rpartition(".")[2].capitalize(): str(value)}
        row["Seeds"] = f"{least}" if least == most else f"{least} to {most}"
        for entry in group.to_dict("records"):
            title = metric_title(entry["metric"], entry["class"])
            row[f"{title} mean ± std"] = _plus_minus(f"{entry['mean']:.2f}", entry["spread"])
            row[f"{title} minus {control}"] = _difference(entry)
        rows.append(row)
    return pd.DataFrame(rows).fillna(UNDEFINED)


def metric_title(name: str, class_name: str) -> str:
    """Turn a name of the summary, such as 3d_loose, into a column head; other names stay as they are."""
    metric, _, threshold_set = name.rpartition("_")
    ious = {"strict": STRICT_IOU, "loose": LOOSE_IOU}.get(threshold_set)
    return name if ious is None else f"{metric.upper()}, IoU {ious[class_name]}"


def as_json(selection: Selection, by: str, model: str) -> dict[str, Any]:
    """Collect everything as plain data; None where undefined."""
    left_out = [{"name": name, "reason": reason} for name, reason in selection.left_out]
    table = statistics(selection.runs)
    plain = table.astype(object).where(table.notna(), None)
    classes = {name: mine.drop(columns="class").to_dict("records") for name, mine in plain.groupby("class", sort=False)}
    return {"by": by, "model": model, "control": selection.control, "classes": classes, "left_out": left_out}


def show(frame: pd.DataFrame, caption: str, *, markdown: bool) -> None:
    """Print a table for a page or for the terminal."""
    rows = (tuple(map(Cell, row)) for row in frame.itertuples(index=False))
    table = Table(caption, tuple(Column(str(head)) for head in frame.columns), tuple(rows))
    if markdown:
        print(f"{printable(caption)}:\n\n{to_markdown(table)}")
    else:
        Console().print(to_rich(table))


def _difference(entry: dict[Hashable, Any]) -> str:
    difference, pairs = entry["difference"], len(entry["paired_seeds"])
    if math.isnan(difference):
        return UNDEFINED
    return f"{_plus_minus(signed(difference), entry['difference_spread'])} (better on {entry['wins']} of {pairs})"


def _plus_minus(text: str, spread: float) -> str:
    return text if math.isnan(spread) else f"{text} ± {spread:.2f}"
