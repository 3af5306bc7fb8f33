"""`monokd evaluate`: KITTI's scores of a folder of results."""

import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from monokd.errors import DataError, printable, say
from monokd.evaluation import table as tables
from monokd.evaluation.bootstrap import Resampling, read_groups
from monokd.evaluation.evaluate import Evaluation, evaluate_results, read_result_set
from monokd.evaluation.precision import SAMPLES
from monokd.evaluation.rules import DIFFICULTY_NAMES, IOU_SETS, METRICS
from monokd.evaluation.table import ApRow
from monokd.kitti.frames import read_split
from monokd.kitti.splits import SplitName, official_split

DEFAULT_RESAMPLES = 1000  # of a comparison that does not say how many
PLAIN_WIDTH = 132  # where the output is no terminal


def evaluate(
    labels: Annotated[Path, typer.Argument(help="Folder of label files.")],
    results: Annotated[Path, typer.Argument(help="Folder of result files.")],
    split: Annotated[str | None, typer.Option(help="train, val, trainval, or a file of frame ids.")] = None,
    rule: Annotated[str, typer.Option(help="le: the current official kit; lt: the older one.")] = "le",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
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
    frames = None if split is None else frames_of(split)
    evaluation = _scored(labels, results, frames, rule, classes)
    other = None if against is None else _scored(labels, against, evaluation.frames, rule, classes)
    resamples = bootstrap or (DEFAULT_RESAMPLES if against or groups else 0)
    resampling = Resampling(resamples, seed, None if groups is None else read_groups(groups, evaluation.frames))
    rows = tables.ap_table(evaluation, other, resampling)
    if csv is not None:
        tables.write_table(csv, tables.AP_COLUMNS, rows)
    if curves is not None:
        tables.write_table(curves, tables.CURVE_COLUMNS, tables.curve_rows(evaluation))
    subtracted = None if against is None else str(against)
    if json_output:
        print(json.dumps(tables.table_json(evaluation, rows, resampling, subtracted), indent=2, allow_nan=False))
    else:
        print_tables(evaluation, rows, resampling, subtracted)


def frames_of(split: str) -> Sequence[str]:
    """Give the frame ids of the field's train, val or trainval, or of a file (DataError)."""
    if split in get_args(SplitName):
        return official_split(cast(SplitName, split))
    if not Path(split).exists():
        raise DataError(f"split: expected train, val, trainval or a file of frame ids, found '{split}'")
    return read_split(split)


def _scored(labels: Path, results: Path, frames: Sequence[str] | None, rule: str, classes: str) -> Evaluation:
    result_set = read_result_set(labels, results, frames)
    evaluation = evaluate_results(result_set, rule, classes.split(","))
    for warning in result_set.warnings(results):
        say(warning)
    return evaluation


def print_tables(evaluation: Evaluation, rows: Sequence[ApRow], resampling: Resampling, against: str | None) -> None:
    """Print a table of every class with a result, and notes on what needs explaining, to stdout."""
    from rich.console import Console  # noqa: PLC0415  (slow to import, and JSON needs none)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    averages = ("R40",) if resampling.resamples else ("R40", "R11")
    for name in evaluation.classes:
        if not any(key[1] == name for key in evaluation.curves):
            console.print(f"{name}: no detections, no result.\n")
            continue
        title = f"{name}: AP in percent, {len(evaluation.frames):,} frames, rule {evaluation.rule}"
        table = Table("IoU over", title=title, title_justify="left", title_style="bold")
        for points, difficulty in product(averages, DIFFICULTY_NAMES):
            table.add_column(f"{points}\n{difficulty}", justify="right", no_wrap=True)
        for key in product(IOU_SETS, [name], METRICS):
            curve = evaluation.curves.get((*key, DIFFICULTY_NAMES[0]))
            if curve is None or (key[0] == "loose" and key[2] in ("bbox", "aos")):  # the same in both sets
                continue
            own = [row for row in rows if (row.iou, row.name, row.metric) == key and row.points in averages]
            table.add_row(f"{key[2]} {curve.min_iou:.2f}", *(_cell(evaluation, row) for row in own))
        console.print(table)
    for note in _notes(evaluation, resampling, against):
        console.print(Text(printable(note), style="dim"))


def _cell(evaluation: Evaluation, row: ApRow) -> str:
    if row.ap is None:
        return "–"
    few = evaluation.curves[row.iou, row.name, row.metric, row.difficulty].objects < SAMPLES
    text = f"{row.ap:.2f}{'*' if few else ''}"
    if row.low is not None:
        text += f" [{row.low:.2f}, {row.high:.2f}]"
    if row.difference is not None:
        text += f"\n{row.difference:+.2f} [{row.difference_low:+.2f}, {row.difference_high:+.2f}]"
    return text


def _notes(evaluation: Evaluation, resampling: Resampling, against: str | None) -> list[str]:
    notes = []
    if resampling.resamples:
        drawn = "frames" if resampling.groups is None else "groups of frames"
        resamples = f"{resampling.resamples:,} resamples of the {drawn}, seed {resampling.seed}"
        notes.append(f"[low, high]: 95 % over {resamples}.")
    if against is not None:
        notes.append(f"Second lines: minus {against}, on the same resamples. No 0 inside: a difference.")
    curves = [(name, level, curve.objects) for (_, name, _, level), curve in evaluation.curves.items()]
    few = {f"{name} {level}: {objects}" for name, level, objects in curves if objects < SAMPLES}
    if few:
        notes.append(
            f"* Fewer than {SAMPLES} objects count ({', '.join(sorted(few))}). The rules take at most one of the "
            f"{SAMPLES} samples of a curve from each object and 0 for the others: n objects reach (n − 1)/40 in R40 at "
            "most, even where everything is right."
        )
    return notes
