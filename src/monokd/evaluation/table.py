"""The table that `monokd evaluate` prints."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monokd.errors import printable
from monokd.evaluation.evaluate import Evaluation, FigureKey
from monokd.evaluation.output import Report
from monokd.evaluation.precision import SAMPLES
from monokd.evaluation.rules import DIFFICULTY_NAMES, METRICS

PLAIN_WIDTH = 132  # where the output is no terminal


def print_report(report: Report) -> None:
    """Print a table of every class with a result, and notes on what needs explaining, to stdout."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    evaluation = report.evaluation
    for name in evaluation.classes:
        if evaluation.defined[name]:
            console.print(_table(report, name))
        else:
            console.print(f"{name}: no detections, no result.\n")
    for note in _notes(report):
        console.print(Text(printable(note), style="dim"))


def _rows(evaluation: Evaluation, name: str) -> list[tuple[str, str, str]]:
    """Strictness, metric and label of each row; bbox and aos are the same in both sets."""
    rows = []
    for strictness in ("strict", "loose"):
        for metric in METRICS:
            if metric in evaluation.defined[name] and not (strictness == "loose" and metric in ("bbox", "aos")):
                kind = "bbox" if metric == "aos" else metric
                iou = evaluation.cells[strictness, name, kind, DIFFICULTY_NAMES[0]].min_iou
                rows.append((strictness, metric, f"{metric} {iou:.2f}"))
    return rows


def _table(report: Report, name: str) -> Table:
    evaluation = report.evaluation
    title = f"{name}: AP in percent, {len(evaluation.frames):,} frames, rule {evaluation.rule}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("IoU over")
    wide = bool(report.intervals)
    for points in ("R40",) if wide else ("R40", "R11"):
        for difficulty in DIFFICULTY_NAMES:
            table.add_column(f"{points}\n{difficulty}", justify="right", no_wrap=True)
    for strictness, metric, label in _rows(evaluation, name):
        keys = [
            (strictness, name, f"{metric}_{points}", difficulty)
            for points in (("R40",) if wide else ("R40", "R11"))
            for difficulty in DIFFICULTY_NAMES
        ]
        table.add_row(label, *(_cell(report, key) for key in keys))
    return table


def _cell(report: Report, key: FigureKey) -> str:
    ap = report.evaluation.ap(key)
    if ap is None:
        return "–"
    text = f"{ap:.2f}{'*' if _few(report.evaluation, key) else ''}"
    interval, difference = report.intervals.get(key), report.differences.get(key)
    if interval is not None:
        text += f" [{interval.low:.2f}, {interval.high:.2f}]"
    if difference is not None:
        text += f"\n{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
    return text


def _few(evaluation: Evaluation, key: FigureKey) -> bool:
    found = evaluation.locate(key)
    return found is not None and found[0].objects < SAMPLES


def _notes(report: Report) -> list[str]:
    notes = []
    if report.resamples:
        notes.append(f"[low, high]: 95 % over {report.resamples:,} resamples of the frames, seed {report.seed}.")
    if report.against is not None:
        notes.append(f"Second lines: minus {report.against}, on the same resamples. No 0 inside: a difference.")
    few = {
        f"{key[1]} {key[3]}: {found[0].objects}"
        for key in report.evaluation.figure_keys()
        if (found := report.evaluation.locate(key)) is not None and found[0].objects < SAMPLES
    }
    if few:
        notes.append(
            f"* Fewer than {SAMPLES} objects count ({', '.join(sorted(few))}). The rules take at most one of the "
            f"{SAMPLES} samples of a curve from each object and 0 for the others: n objects reach (n − 1)/40 in R40 at "
            "most, even where everything is right."
        )
    return notes
