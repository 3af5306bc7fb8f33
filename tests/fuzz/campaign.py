"""Give a reader many broken files and count what it does."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monokd.errors import DataError
from tests.fuzz.mutations import broken
from tests.fuzz.readers import Reader

SECONDS = 1.0  # of processor time, so that a busy machine fails nobody
MEMORY_BYTES = 1 << 30  # beyond what the process has
LONGEST_MESSAGE = 1000


class TookTooLongError(BaseException):
    """A reader was still at it; no reader may catch this."""


@dataclass
class Outcome:
    """What a reader did.

    Attributes:
        inputs: broken files given.
        refused: DataError in one line that names the file.
        accepted: read, and the judge agrees.
        slowest_s: processor time.
        failures: anything else: number of the input and what happened.
    """

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    failures: list[tuple[int, str]] = field(default_factory=list)


def content_of(reader: Reader, number: int) -> bytes:
    """Broken input `number`, the same every time."""
    return broken(random.Random(f"{reader.name} {number}"), reader.seeds, reader.mutations)


def run(reader: Reader, numbers: range, folder: Path, advance: Callable[[], object] = lambda: None) -> Outcome:
    """Give the broken inputs `numbers` to a reader, one after the other."""
    outcome = Outcome()
    with limited_memory():
        for number in numbers:
            content = content_of(reader, number)
            try:
                took = judge_one(reader, content, folder, outcome)
                outcome.slowest_s = max(outcome.slowest_s, took)
            except (Exception, TookTooLongError) as error:
                outcome.failures.append((number, f"{type(error).__name__}: {error}"))
            outcome.inputs += 1
            advance()
    return outcome


def warm(reader: Reader, folder: Path) -> None:
    """Read a whole file once without limits: first calls import and compile for seconds."""
    path = folder / reader.file
    path.write_bytes(reader.seeds[0])
    reader.read(path)


def judge_one(reader: Reader, content: bytes, folder: Path, outcome: Outcome) -> float:
    """Give one file to a reader; processor seconds.

    Raises:
        Exception: anything but a proper refusal.
    """
    path = folder / reader.file
    path.write_bytes(content)
    start = time.process_time()
    try:
        with limited_time():
            found = reader.read(path)
    except DataError as error:
        check_message(error, path)
        outcome.refused += 1
    else:
        reader.judge(found, content)
        outcome.accepted += 1
    return time.process_time() - start


def check_message(error: DataError, path: Path) -> None:
    """A refusal is one line that a terminal shows as it is, and names the file."""
    message = str(error)
    assert message.isprintable(), f"no line to print: {message!r}"
    assert message.startswith(str(path)), f"does not name the file: {message}"
    assert len(message) < LONGEST_MESSAGE, f"{len(message)} characters"


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raise `TookTooLongError` after `SECONDS` of processor time."""

    def stop(*_: object) -> None:
        raise TookTooLongError(f"more than {SECONDS:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Refuse this process more than `MEMORY_BYTES` of address space beyond what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
