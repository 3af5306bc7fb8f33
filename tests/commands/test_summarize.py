"""Means, spreads and paired differences over seeds, solved by hand."""

import json
import math
import random
from collections.abc import Hashable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.commands.experiments import RUN_COLUMNS, Selection
from monokd.commands.summarize import as_json, statistics, to_table

Row = tuple[str, int, float]
RUNS: list[Row] = [
    *[("none", seed, result) for seed, result in enumerate((10.0, 15.0, 11.0))],
    *[("monoskd", seed, result) for seed, result in enumerate((13.0, 16.0, 16.0))],
]


def frame(rows: list[Row], metric: str = "ap") -> pd.DataFrame:
    """Results of one class and metric."""
    return pd.DataFrame([("Car", metric, *row) for row in rows], columns=RUN_COLUMNS)


def computed(*rows: Row) -> list[dict[Hashable, Any]]:
    return statistics(frame(list(rows)), "none").to_dict("records")


def test_by_hand() -> None:
    """Differences 3, 1, 5: mean 3, standard deviation 2; means 12 and 15."""
    control, method = computed(*RUNS)
    assert (control["mean"], control["paired_seeds"], method["mean"], method["seeds"]) == (12.0, (), 15.0, (0, 1, 2))
    assert math.isnan(control["difference"])
    assert method["spread"] == pytest.approx(math.sqrt(3))
    assert (method["difference"], method["wins"]) == (3.0, 3)
    assert method["difference_spread"] == pytest.approx(2.0)


def test_pairing_removes_what_seeds_share() -> None:
    """Seeds that differ by 100 points leave a constant gain without spread."""
    rows = [(loss, seed, 100.0 * seed + gain) for loss, gain in (("none", 0), ("x", 2)) for seed in range(3)]
    _, method = computed(*rows)
    assert (method["difference"], method["difference_spread"], method["spread"]) == (2.0, 0.0, 100.0)


def test_only_common_seeds_are_paired_and_without_control_there_is_no_difference() -> None:
    _, method = computed(("none", 0, 1.0), ("x", 0, 2.0), ("x", 7, 9.0))
    assert (method["seeds"], method["paired_seeds"], method["difference"]) == ((0, 7), (0,), 1.0)
    assert math.isnan(method["difference_spread"])
    (entry,) = computed(("x", 0, 2.0))
    assert math.isnan(entry["difference"])
    assert math.isnan(entry["spread"])
    assert entry["wins"] == 0


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.integers(0, 99))
def test_order_of_runs_does_not_matter(values: list[float], seed: int) -> None:
    runs = [(loss, i, v + g) for i, v in enumerate(values) for loss, g in (("none", 0), ("x", 1))]
    mixed = random.Random(seed).sample(runs, len(runs))
    one, other = (statistics(frame(rows), "none").sort_values("value", ignore_index=True) for rows in (runs, mixed))
    pd.testing.assert_frame_equal(one, other)


def test_what_tables_say_of_a_loss_that_is_worse_or_lacks_results() -> None:
    table = to_table(frame([("none", 0, 5.0), ("x", 0, 3.5)]), "none", "losses.x.weight")
    assert list(table.columns) == ["Weight", "Seeds", "ap mean ± std", "ap minus none"]
    assert table.iloc[1]["ap minus none"] == "−1.50 (better on 0 of 1)"
    runs = pd.concat([frame([("none", 0, 5.0), ("none", 1, 5.0), ("x", 0, 6.0)], "a"), frame([("none", 0, 1.0)], "b")])
    table = to_table(runs, "none", "loss")
    assert list(table["Seeds"]) == ["1 to 2", "1"]
    assert list(table.iloc[1]) == ["x", "1", "6.00", "+1.00 (better on 1 of 1)", "–", "–"]


def test_json_is_plain() -> None:
    content = as_json(Selection(frame(RUNS), [], "none"), "loss", "student")
    control, method = json.loads(json.dumps(content, allow_nan=False))["classes"]["Car"]
    assert control["difference"] is None
    assert (method["loss"], method["value"], method["seeds"]) == ("monoskd", "ap", [0, 1, 2])
