"""No file can do more than be refused in one line: 500 broken ones a reader, and what only looks like a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from tests.fuzz.campaign import Outcome, judge_one, limited_memory, limited_time, run, warm
from tests.fuzz.readers import Reader, readers

BROKEN = 500
READERS = readers()
ANY = ("label", "result", "label folder", "calibration", "split", "table", "velodyne")
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())


@pytest.fixture(scope="module", autouse=True)
def _warmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    for reader in READERS.values():
        warm(reader, tmp_path_factory.mktemp("warm"))


@each_reader
def test_whole_files_are_read(reader: Reader, tmp_path: Path) -> None:
    """The seeds are right, so that what is refused below is refused for its damage."""
    outcome = Outcome()
    for content in reader.seeds:
        judge_one(reader, content, tmp_path, outcome)
    assert (outcome.accepted, outcome.refused) == (len(reader.seeds), 0)


@each_reader
def test_broken_files_are_refused_or_read_as_they_are(reader: Reader, tmp_path: Path) -> None:
    """Each ends within a second of processor time and a gigabyte: one line, or what the judge accepts."""
    outcome = run(reader, range(BROKEN), tmp_path)
    assert outcome.failures == []
    assert outcome.refused + outcome.accepted == outcome.inputs == BROKEN
    assert outcome.refused > BROKEN / 4


@pytest.mark.parametrize("name", ["label", "result", "calibration", "split", "table", "velodyne"])
@settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_content_is_refused_or_read_as_it_is(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Content that no mutation leads to: anything, and words that the format knows in any order."""
    reader = READERS[name]
    known = sorted({word for seed in reader.seeds for word in seed.split()} | {b"nan", b"-1", b"1e9", b",", b'"'})
    line = st.lists(st.sampled_from(known), max_size=17).map(b" ".join)
    content = data.draw(st.binary(max_size=200) | st.text(max_size=80).map(str.encode) | st.lists(line).map(b"\n".join))
    judge_one(reader, content, tmp_path_factory.getbasetemp(), Outcome())


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    """A hole of a terabyte, no byte of which is on the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


@each_reader
@pytest.mark.parametrize("make", [_folder, _pipe, _endless, _loop, _huge])
def test_what_only_looks_like_a_file_is_refused(reader: Reader, make: Callable[[Path], None], tmp_path: Path) -> None:
    """No wait for a pipe's writer, no end of a device, no memory for a hole."""
    path = tmp_path / reader.file
    make(path)
    with pytest.raises(DataError) as caught, limited_memory(), limited_time():
        reader.read(path)
    assert str(path) in str(caught.value)
