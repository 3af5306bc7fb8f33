"""The `monokd summarize` command: losses × seeds of this repository's experiments."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from monokd.commands.experiments import Selection, read_experiments, select_runs
from monokd.commands.losses_by_seed import summarize, to_json, to_table
from monokd.errors import DataError, printable, say
from monokd.report.tables import METRIC_NAMES, Table, iou_of, to_markdown, to_rich


def summarize_command(
    root: Path,
    *,
    by: str,
    model: str,
    control: str | None,
    revisions: tuple[str, ...],
    all_commits: bool,
    markdown: bool,
    json_output: bool,
) -> None:
    """Print mean, spread and paired difference of every value of `by`, a table a class; what is left out, on stderr.

    Args:
        root: of the repository.
        by: dotted parameter whose values are the rows.
        model: teacher, baseline or student.
        control: the value of `by` that others are compared with; None takes `none` of losses, else the commit's.
        revisions: commits whose experiments to read; default HEAD.
        all_commits: those of every commit.
        markdown: print GitHub tables.
        json_output: print JSON.

    Raises:
        DataError: no repository, no experiment with results, or an unknown parameter.
    """
    experiments = read_experiments(root, revisions=revisions, all_commits=all_commits)
    selection = select_runs(experiments, by=by, model=model, control=control)
    if json_output:
        print(json.dumps(as_json(selection, by, model), indent=2, allow_nan=False))
    else:
        for table in tables(selection, by, model):
            show(table, markdown=markdown)
    for name, reason in () if json_output else selection.left_out:
        say(f"left out: {name}: {reason}")
    if not selection.runs:
        raise DataError("expected experiments with results, found none; `dvc repro` or `dvc exp run` makes them", root)


def tables(selection: Selection, by: str, model: str) -> list[Table]:
    """One table a class."""
    return [
        to_table(
            [replace(e, value=metric_title(e.value, class_name)) for e in summarize(runs, control=selection.control)],
            control=selection.control,
            rows=by.rpartition(".")[2].capitalize(),
            what=f"{class_name}, moderate, AP|R40 of the {model}",
        )
        for class_name, runs in selection.runs.items()
    ]


def metric_title(name: str, class_name: str) -> str:
    """A name of the summary, such as 3d_loose, as a column head; other names as they are."""
    kind, _, threshold_set = name.rpartition("_")
    if kind not in METRIC_NAMES or threshold_set not in ("strict", "loose"):
        return name
    return f"{METRIC_NAMES[kind]}, IoU {iou_of(threshold_set, class_name)}"


def as_json(selection: Selection, by: str, model: str) -> dict[str, Any]:
    """Everything as plain data."""
    classes = {name: to_json(summarize(runs, control=selection.control)) for name, runs in selection.runs.items()}
    left_out = [{"name": name, "reason": reason} for name, reason in selection.left_out]
    return {"by": by, "model": model, "control": selection.control, "classes": classes, "left_out": left_out}


def show(table: Table, *, markdown: bool) -> None:
    """Print a table for a page or for the terminal."""
    if markdown:
        print(f"{printable(table.caption)}:\n\n{to_markdown(table)}")
        return
    from rich.console import Console  # noqa: PLC0415  (slow to import)

    Console().print(to_rich(table))
