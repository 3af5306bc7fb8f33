"""Means, spreads and paired differences over seeds, solved by hand."""

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd
import pytest

from monokd.commands.experiments import RUN_COLUMNS
from monokd.commands.summarize import statistics, to_table

Row = tuple[str, int, float]
RUNS: list[Row] = [
    *[("none", seed, result) for seed, result in enumerate((10.0, 15.0, 11.0))],
    *[("monoskd", seed, result) for seed, result in enumerate((13.0, 16.0, 16.0))],
]


def frame(rows: list[Row], metric: str = "ap") -> pd.DataFrame:
    """Results of one class and metric, compared with `none`."""
    controls = {seed: result for value, seed, result in rows if value == "none"}
    paired = [math.nan if row[0] == "none" else controls.get(row[1], math.nan) for row in rows]
    return pd.DataFrame([("Car", metric, *row, c) for row, c in zip(rows, paired, strict=True)], columns=RUN_COLUMNS)


def computed(*rows: Row) -> list[dict[Hashable, Any]]:
    return statistics(frame(list(rows))).to_dict("records")


def test_by_hand() -> None:
    """Differences 3, 1, 5: mean 3, standard deviation 2; means 12 and 15."""
    control, method = computed(*RUNS)
    assert (control["mean"], control["paired_seeds"], method["mean"], method["seeds"]) == (12.0, (), 15.0, (0, 1, 2))
    assert math.isnan(control["difference"])
    assert method["spread"] == pytest.approx(math.sqrt(3))
    assert (method["difference"], method["wins"]) == (3.0, 3)
    assert method["difference_spread"] == pytest.approx(2.0)


def test_only_common_seeds_are_paired_and_without_control_there_is_no_difference() -> None:
    _, method = computed(("none", 0, 1.0), ("x", 0, 2.0), ("x", 7, 9.0))
    assert (method["seeds"], method["paired_seeds"], method["difference"]) == ((0, 7), (0,), 1.0)
    assert math.isnan(method["difference_spread"])
    (entry,) = computed(("x", 0, 2.0))
    assert math.isnan(entry["difference"])
    assert math.isnan(entry["spread"])
    assert entry["wins"] == 0


def test_what_tables_say_of_a_loss_that_is_worse_or_lacks_results() -> None:
    table = to_table(frame([("none", 0, 5.0), ("x", 0, 3.5)]), "none", "losses.x.weight")
    assert list(table.columns) == ["Weight", "Seeds", "ap mean ± std", "ap minus none"]
    assert table.iloc[1]["ap minus none"] == "−1.50 (better on 0 of 1)"
    runs = pd.concat([frame([("none", 0, 5.0), ("none", 1, 5.0), ("x", 0, 6.0)], "a"), frame([("none", 0, 1.0)], "b")])
    table = to_table(runs, "none", "loss")
    assert list(table["Seeds"]) == ["1 to 2", "1"]
    assert list(table.iloc[1]) == ["x", "1", "6.00", "+1.00 (better on 1 of 1)", "–", "–"]
