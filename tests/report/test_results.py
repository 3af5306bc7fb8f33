"""Files of the stages are read whole; faults are named by file and line."""

from pathlib import Path

import numpy as np
import pytest

from monokd.errors import DataError
from monokd.report.results import read_results, read_table
from tests.report.fakes import write_results_of


def test_numbers_are_read_to_the_last_bit_and_empty_cells_are_undefined(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("class,ap,low\nNA,0.1,\n,49.562083456529805,1e-05\n")
    found = read_table(path, ["class"], ["ap", "low"])
    assert found["class"].tolist() == ["NA", ""]
    assert found["ap"].tolist() == [0.1, 49.562083456529805]
    assert np.isnan(found["low"][0])


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", "t.csv: expected a CSV table, found"),
        ("b,a\n1,2\n", "t.csv:1: expected a column 'epoch', found b, a"),
        ("epoch,a\n1,2\n2,x\n", "t.csv:3: a: expected a finite number, found 'x'"),
        ("epoch,a\n1,inf\n", "t.csv:2: a: expected a finite number, found 'inf'"),
        ("epoch,a\n1,2\n1,2,3\n", "t.csv: expected a CSV table, found"),
        ("epoch,a\n\ud800", "t.csv: expected a CSV table, found"),
    ),
)
def test_broken_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=message):
        read_table(path, [], ["epoch"])


def test_every_network_needs_its_files(tmp_path: Path) -> None:
    write_results_of(tmp_path, {})
    (tmp_path / "metrics/student/ap.csv").unlink()
    with pytest.raises(DataError, match=r"student/ap\.csv: no such table"):
        read_results(tmp_path / "metrics", ("control", "student"), tmp_path)
