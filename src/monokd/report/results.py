"""What the stages before the report say about every network, as one table of each kind."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from monokd.errors import DataError
from monokd.files import read_bytes, read_json

BAND_COLUMNS = ("from_m", "to_m", "objects", "ap", "low", "high")
CURVE_COLUMNS = ("recall", "precision")
KEY = ("iou", "class", "metric", "difficulty")
HEADLINE = (("loose", "3d"), ("loose", "bev"), ("strict", "3d"), ("strict", "bev"))
LEVEL, POINTS = "moderate", "R40"  # of everything but the details


class Figure(NamedTuple):
    """One AP in percent, its 95 % interval, and its difference to the control with the interval of that."""

    ap: float = math.nan
    low: float = math.nan
    high: float = math.nan
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan


AP_COLUMNS = Figure._fields
Figures = dict[tuple[str, str, str], Figure]  # by network, iou and metric


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Results of some networks; the first column of every table is `network`, numbers are NaN where undefined."""

    networks: tuple[str, ...]  # in the order of the tables
    ap: pd.DataFrame  # every AP in percent by `KEY` and `points`, with the columns of `Figure`
    curves: pd.DataFrame
    bands: pd.DataFrame
    history: pd.DataFrame  # loss terms and task weights by epoch
    predictions: Path  # holds a folder of result files for each network
    frames: int  # how many were evaluated
    rule: str  # for objects on a limit


def read_results(folder: Path, networks: Sequence[str], predictions: Path) -> Results:
    """Read FOLDER/NETWORK/{kitti.json,ap.csv,pr.csv,distance.csv,history.csv}; DataError for broken ones."""
    first, ap = read_json(folder / networks[0] / "kitti.json"), read_ap(folder, networks)
    curves = _read_tables(folder, networks, "pr.csv", KEY, CURVE_COLUMNS)
    bands = _read_tables(folder, networks, "distance.csv", KEY, BAND_COLUMNS)
    history = _read_tables(folder, networks, "history.csv", (), ("epoch",))
    frames, rule = int(first.get("frames", 0)), str(first.get("rule", ""))
    return Results(tuple(networks), ap, curves, bands, history, predictions, frames, rule)


def classes_of(ap: pd.DataFrame) -> list[str]:
    """List the classes of `Results.ap`, Car first."""
    return sorted(map(str, ap["class"].unique()), key=lambda name: name != "Car")


def read_ap(folder: Path, networks: Sequence[str]) -> pd.DataFrame:
    """Read `Results.ap` alone; raises DataError like `read_results`."""
    return _read_tables(folder, networks, "ap.csv", (*KEY, "points"), AP_COLUMNS)


def _read_tables(
    folder: Path, networks: Sequence[str], name: str, text: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    every = {network: read_table(folder / network / name, text, numbers) for network in networks}
    return pd.concat(every, names=["network"]).reset_index("network").reset_index(drop=True)


def read_table(path: Path, text: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Read a CSV table with all of the columns `text` and `numbers`; the latter are finite or empty (NaN).

    Without `text`, every column holds numbers. DataError where it is broken, with the line of a broken cell.
    """
    try:
        table = pd.read_csv(BytesIO(read_bytes(path, "table")), dtype=str, keep_default_na=False)
    except ValueError as error:  # no text, no columns, ragged rows
        raise DataError(f"expected a CSV table, found: {error}", path) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError("expected as many cells as heads in every row, found more", path)
    for column in (*text, *numbers):
        if column not in table:
            raise DataError(f"expected a column {column!r}, found {', '.join(map(str, table.columns))[:80]}", path, 1)
    for column in numbers if text else table.columns:
        values = pd.to_numeric(table[column].replace("", np.nan), errors="coerce")
        broken = table.index[~np.isfinite(values) & (table[column] != "")]
        if len(broken):
            found = str(table[column][broken[0]])[:40]
            raise DataError(f"{column}: expected a finite number, found {found!r}", path, int(broken[0]) + 2)
        table[column] = values.astype(float)
    return table


def headline_ap(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Figures:
    """Look up the figures of the headline for every network and `HEADLINE`, NaN where undefined or absent."""
    mine = ap[(ap["class"] == class_name) & (ap["points"] == POINTS) & (ap["difficulty"] == LEVEL)]
    keyed = mine.set_index(["network", "iou", "metric"])[list(AP_COLUMNS)].astype(float)
    found = {key: Figure(*row) for key, *row in keyed.itertuples(name=None)}
    return {(network, *key): found.get((network, *key), Figure()) for network in networks for key in HEADLINE}
