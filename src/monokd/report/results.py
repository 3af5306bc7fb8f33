"""What the stages before the report say about every network, as one table of each kind."""

from __future__ import annotations

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
    """Read `FOLDER/NETWORK/{kitti.json,ap.csv,pr.csv,distance.csv,history.csv}` of every network.

    Raises:
        DataError: a file is missing, is no table, lacks a column, or has a cell that is no number.
    """
    first = read_json(folder / networks[0] / "kitti.json")
    return Results(
        tuple(networks),
        read_ap(folder, networks),
        _read_tables(folder, networks, "pr.csv", KEY, CURVE_COLUMNS),
        _read_tables(folder, networks, "distance.csv", KEY, BAND_COLUMNS),
        _read_tables(folder, networks, "history.csv", (), ("epoch",)),
        predictions,
        first["frames"],
        first["rule"],
    )


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

    Without `text`, every column holds numbers. DataError where it is none, lacks a column, or has another cell.
    """
    try:
        table = pd.read_csv(BytesIO(read_bytes(path, "table")), dtype=str, keep_default_na=False)
        missing = [column for column in (*text, *numbers) if column not in table]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        columns = list(numbers if text else table.columns)
        table[columns] = table[columns].replace("", "nan").astype(float)
        if np.isinf(table[columns]).any(axis=None):
            raise ValueError("an infinite number")
    except ValueError as error:
        raise DataError(f"expected a CSV table of finite numbers, found: {error}", path) from error
    return table


def headline_ap(ap: pd.DataFrame, class_name: str, networks: Sequence[str]) -> Figures:
    """Look up the figures of the headline for every network and `HEADLINE`, NaN where undefined or absent."""
    mine = ap[(ap["class"] == class_name) & (ap["points"] == POINTS) & (ap["difficulty"] == LEVEL)]
    keyed = mine.set_index(["network", "iou", "metric"])[list(AP_COLUMNS)].astype(float)
    found = {key: Figure(*row) for key, *row in keyed.itertuples(name=None)}
    return {(network, *key): found.get((network, *key), Figure()) for network in networks for key in HEADLINE}
