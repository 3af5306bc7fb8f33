"""Losses × seeds → mean, spread and paired difference against the control."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from monokd.errors import DataError
from monokd.report.tables import UNDEFINED, Cell, Column, Table


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment.

    Attributes:
        loss: which distillation loss, `none` for the control.
        seed: what it started from.
        values: named results, higher is better; a missing or NaN result is left out.
    """

    loss: str
    seed: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One loss and one named result over its seeds.

    Attributes:
        loss: which loss.
        value: name of the result.
        seeds: the seeds that have it, ascending.
        mean: over those seeds.
        spread: sample standard deviation (n − 1); None below two seeds.
        paired_seeds: the seeds that the control has too.
        difference: mean of loss − control over `paired_seeds`; None without any, and for the control itself.
        difference_spread: sample standard deviation of those differences; None below two.
        wins: on how many of `paired_seeds` the loss beats the control.
    """

    loss: str
    value: str
    seeds: tuple[int, ...]
    mean: float
    spread: float | None
    paired_seeds: tuple[int, ...]
    difference: float | None
    difference_spread: float | None
    wins: int


def summarize(runs: Sequence[Run], *, control: str = "none") -> list[Entry]:
    """Summarise `runs`: one entry a result and loss, the control first, then losses by name.

    The difference is paired: a seed's run is compared with the control's run of the same seed, so that what both share
    (data, start, order of frames) cancels.

    Raises:
        DataError: no runs, or two runs of one loss and seed whose results differ.
    """
    if not runs:
        raise DataError("expected at least one run to summarise, found none")
    return [
        _entry(loss, value, losses[loss], losses.get(control, {}), loss == control)
        for value, losses in _by_value(runs).items()
        for loss in sorted(losses, key=lambda name: (name != control, name))
    ]


def to_table(
    entries: Sequence[Entry], *, control: str = "none", rows: str = "Loss", what: str = "Losses over seeds"
) -> Table:
    """Entries as one table: a row a loss, two columns a result (mean ± spread, difference ± spread).

    Args:
        entries: of `summarize`.
        control: which loss the others are compared with.
        rows: what a row is.
        what: the beginning of the caption.
    """
    values = list(dict.fromkeys(entry.value for entry in entries))
    losses = sorted({entry.loss for entry in entries}, key=lambda name: (name != control, name))
    by_key = {(entry.loss, entry.value): entry for entry in entries}
    columns = [Column(rows), Column("Seeds")]
    for value in values:
        columns += [Column("mean ± std", value), Column(f"minus {control}", value)]
    lines = []
    for loss in losses:
        mine = [by_key.get((loss, value)) for value in values]
        row = [Cell(loss), Cell(_seed_count(mine))]
        for entry in mine:
            row += [Cell(UNDEFINED), Cell(UNDEFINED)] if entry is None else [_mean_cell(entry), _difference_cell(entry)]
        lines.append(tuple(row))
    caption = f"{what}; differences are paired by seed against the control '{control}'"
    return Table(caption, tuple(columns), tuple(lines))


def to_json(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Entries as plain data for a JSON file."""
    return [asdict(entry) for entry in entries]


def _by_value(runs: Sequence[Run]) -> dict[str, dict[str, dict[int, float]]]:
    """Name of the result → loss → seed → result."""
    table: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        for name, number in run.values.items():
            if number is None or math.isnan(number):
                continue
            seeds = table.setdefault(name, {}).setdefault(run.loss, {})
            if seeds.setdefault(run.seed, number) != number:
                found = f"{name} {seeds[run.seed]:g} and {number:g}"
                raise DataError(f"expected one run of loss {run.loss} with seed {run.seed}, found two: {found}")
    return table


def _entry(loss: str, value: str, mine: dict[int, float], control: dict[int, float], is_control: bool) -> Entry:
    seeds = tuple(sorted(mine))
    paired = () if is_control else tuple(seed for seed in seeds if seed in control)
    differences = [mine[seed] - control[seed] for seed in paired]
    numbers = [mine[seed] for seed in seeds]
    return Entry(
        loss=loss,
        value=value,
        seeds=seeds,
        mean=statistics.fmean(numbers),
        spread=_spread(numbers),
        paired_seeds=paired,
        difference=statistics.fmean(differences) if differences else None,
        difference_spread=_spread(differences),
        wins=sum(difference > 0 for difference in differences),
    )


def _spread(numbers: Sequence[float]) -> float | None:
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def _mean_cell(entry: Entry) -> Cell:
    return Cell(f"{entry.mean:.2f}{_plus_minus(entry.spread)}")


def _difference_cell(entry: Entry) -> Cell:
    if entry.difference is None:
        return Cell(UNDEFINED)
    sign = "−" if round(entry.difference, 2) < 0 else "+"
    text = f"{sign}{abs(entry.difference):.2f}{_plus_minus(entry.difference_spread)}"
    return Cell(text, f"better on {entry.wins} of {len(entry.paired_seeds)}")


def _plus_minus(spread: float | None) -> str:
    return "" if spread is None else f" ± {spread:.2f}"


def _seed_count(entries: Sequence[Entry | None]) -> str:
    counts = sorted({len(entry.seeds) for entry in entries if entry is not None})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
