"""Means, spreads and paired differences over seeds, solved by hand."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.commands.losses_by_seed import Run, summarize, to_json, to_table
from monokd.errors import DataError
from monokd.report.tables import to_markdown

RUNS = [
    Run("monoskd", 0, {"3d": 13.0}),
    Run("monoskd", 1, {"3d": 16.0}),
    Run("monoskd", 2, {"3d": 16.0}),
    Run("none", 0, {"3d": 10.0}),
    Run("none", 1, {"3d": 15.0}),
    Run("none", 2, {"3d": 11.0}),
]


def test_by_hand() -> None:
    """Differences 3, 1, 5: mean 3, standard deviation 2; means 12 and 15."""
    control, method = summarize(RUNS)
    assert (control.loss, control.mean, control.difference, control.paired_seeds) == ("none", 12.0, None, ())
    assert (method.loss, method.mean, method.seeds) == ("monoskd", 15.0, (0, 1, 2))
    assert method.spread == pytest.approx(math.sqrt(3))
    assert (method.difference, method.wins) == (3.0, 3)
    assert method.difference_spread == pytest.approx(2.0)


def test_pairing_removes_what_seeds_share() -> None:
    """Seeds that differ by 100 points leave a constant gain without spread."""
    runs = [Run(loss, s, {"ap": 100.0 * s + gain}) for s in range(3) for loss, gain in (("none", 0), ("x", 2))]
    _, method = summarize(runs)
    assert (method.difference, method.difference_spread) == (2.0, 0.0)
    assert method.spread == 100.0


def test_only_common_seeds_are_paired() -> None:
    _, method = summarize([Run("none", 0, {"ap": 1.0}), Run("x", 0, {"ap": 2.0}), Run("x", 7, {"ap": 9.0})])
    assert (method.seeds, method.paired_seeds, method.difference, method.difference_spread) == ((0, 7), (0,), 1.0, None)


def test_without_control_there_is_no_difference() -> None:
    (entry,) = summarize([Run("x", 0, {"ap": 2.0})])
    assert (entry.difference, entry.spread, entry.wins) == (None, None, 0)


def test_undefined_results_are_left_out() -> None:
    control, method = summarize([Run("none", 0, {"ap": 1.0}), Run("x", 0, {"ap": math.nan}), Run("x", 1, {"ap": 3.0})])
    assert (method.seeds, method.paired_seeds) == ((1,), ())
    assert control.seeds == (0,)


def test_conflicting_runs_are_refused_and_equal_ones_count_once() -> None:
    with pytest.raises(DataError, match="expected one run of loss x with seed 0, found two: ap 1 and 2"):
        summarize([Run("x", 0, {"ap": 1.0}), Run("x", 0, {"ap": 2.0})])
    assert summarize([Run("x", 0, {"ap": 1.0})] * 2)[0].seeds == (0,)


def test_no_runs_are_refused() -> None:
    with pytest.raises(DataError, match="at least one run"):
        summarize([])


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.integers(0, 99))
def test_order_of_runs_does_not_matter(values: list[float], seed: int) -> None:
    runs = [Run(loss, i, {"ap": v + g}) for i, v in enumerate(values) for loss, g in (("none", 0), ("x", 1))]
    mixed = random.Random(seed).sample(runs, len(runs))
    assert summarize(mixed) == summarize(runs)


def test_markdown_by_hand() -> None:
    assert to_markdown(to_table(summarize(RUNS))) == (
        "| Loss | Seeds | 3d mean ± std | 3d minus none |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| none | 3 | 12.00 ± 2.65 | – |\n"
        "| monoskd | 3 | 15.00 ± 1.73 | +3.00 ± 2.00 (better on 3 of 3) |\n"
    )


def test_losses_are_signed() -> None:
    runs = [Run("none", 0, {"ap": 5.0}), Run("x", 0, {"ap": 3.5})]
    assert to_table(summarize(runs)).rows[1][3].text == "−1.50"


def test_a_result_that_a_loss_lacks_is_a_dash() -> None:
    runs = [Run("none", 0, {"a": 5.0, "b": 1.0}), Run("x", 0, {"a": 6.0})]
    row = to_table(summarize(runs)).rows[1]
    assert [cell.text for cell in row] == ["x", "1", "6.00", "+1.00", "–", "–"]


def test_json_is_plain() -> None:
    data = json.loads(json.dumps(to_json(summarize(RUNS)), allow_nan=False))
    assert data[1]["loss"] == "monoskd"
    assert data[1]["seeds"] == [0, 1, 2]
