"""Saved training state: disks that fill up, clocks that go back, files cut by a power loss.

That a damaged state gives way to the one before it stands in `tests/training/test_loop.py`.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monokd.errors import DataError
from monokd.training.state import fingerprint, load_state, previous, save_state
from tests.conftest import tree
from tests.faults.conftest import resize
from tests.training.test_loop import Pull, train


class Heavy(Pull):
    """With weights that fill a small disk."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(100_000))


def test_a_disk_that_fills_up_keeps_the_last_state_and_training_goes_on_to_the_same_bits(
    tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    whole = Heavy()
    rows = train(tmp_path / "whole", whole, 4)
    disk = small_disk("1100k")  # two states, not three
    with pytest.raises(OSError, match="No space left on device") as raised:
        train(disk, Heavy(), 4)
    assert raised.value.filename == str(disk / "state.pt")
    state = load_state(disk / "state.pt")
    assert state is not None
    assert state["epoch"] == 2
    resize(disk, "4m")
    again = Heavy()
    assert train(disk, again, 4) == rows
    assert torch.equal(again.x, whole.x)
    assert sorted(tree(disk)) == ["history.csv", "previous-state.pt", "state.pt"]


def test_a_state_cut_anywhere_or_with_a_flipped_bit_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    path, numbers = tmp_path / "state.pt", torch.arange(50.0)
    for epoch in (1, 2):
        save_state(path, {"epoch": epoch, "step": {"x": numbers}})
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(numbers.numpy().tobytes()) + 17] ^= 1
    lengths = [0, 1, 3, *range(7, len(content), max(1, len(content) // 40)), len(content) - 1]
    for broken in (bytes(flipped), *(content[:length] for length in lengths)):
        path.write_bytes(broken)
        found = load_state(path)
        assert found is not None
        assert found["epoch"] == 1, len(broken)


def test_a_kill_between_the_two_renames_loses_one_epoch_at_most(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"epoch": 1})
    path.replace(previous(path))
    assert load_state(path) == {"epoch": 1}


def test_a_state_that_cannot_be_read_is_an_error_not_a_new_start(tmp_path: Path) -> None:
    (tmp_path / "state.pt").mkdir()
    with pytest.raises(DataError, match="expected a file"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("time_s", [0, 1, 4_102_444_800])
def test_a_state_is_of_the_data_s_content_whatever_the_clock_says(tmp_path: Path, time_s: int) -> None:
    """A clock that goes back, and tools that keep times, give other content the time of the old one."""
    path = tmp_path / "000000.png"
    path.write_bytes(b"one")
    time_ns = path.stat().st_mtime_ns
    key = fingerprint("teacher", {"seed": 0}, [path])
    os.utime(path, (time_s, time_s))
    assert fingerprint("teacher", {"seed": 0}, [path]) == key
    path.write_bytes(b"two")
    os.utime(path, ns=(time_ns, time_ns))
    assert fingerprint("teacher", {"seed": 0}, [path]) != key
