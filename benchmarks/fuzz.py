"""Many broken files for every reader: what is refused, what is accepted, how long it takes, what goes wrong.

Usage: python benchmarks/fuzz.py [--count 100000] [--only NAME …] [--keep FOLDER]

The inputs are those of tests/fuzz, only more of them: input N of a reader is the same in every run. Each reader has a
process of its own, so that a crash is counted and does not end the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.fuzz.campaign import Outcome, content_of, run, warm
from tests.fuzz.readers import Reader, readers

from monokd.progress import progress_bar

BATCH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=100_000, help="inputs in all")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", nargs="*", help="names of readers")
    parser.add_argument("--keep", type=Path, help="where inputs that fail are kept")
    args = parser.parse_args()
    chosen = [reader for name, reader in readers().items() if not args.only or name in args.only]
    each = -(-args.count // len(chosen))
    outcomes: dict[str, tuple[Outcome, float]] = {}
    start = time.perf_counter()
    for reader in chosen:
        outcomes[reader.name] = in_its_process(reader, range(args.first, args.first + each), args.keep)
        print(f"{reader.name}: {len(outcomes[reader.name][0].failures)} failures", file=sys.stderr, flush=True)
    print_table(outcomes, time.perf_counter() - start)
    if any(outcome.failures for outcome, _ in outcomes.values()):
        sys.exit(1)


def in_its_process(reader: Reader, numbers: range, keep: Path | None) -> tuple[Outcome, float]:
    """What a reader does, counted outside of the process that it could take down; and processor seconds."""
    here, there = get_context("fork").Pipe(duplex=False)
    process = get_context("fork").Process(target=work, args=(there, reader, numbers))
    process.start()
    there.close()
    total, seconds = Outcome(), 0.0
    with progress_bar() as bar:
        task = bar.add_task(reader.name, total=len(numbers), note="")
        try:
            while total.inputs < len(numbers):
                outcome, seconds = here.recv()
                add(total, outcome)
                bar.advance(task, outcome.inputs)
        except EOFError:
            reason = f"the process died among the {BATCH} inputs from here on"
            total.failures.append((numbers[total.inputs], reason))
    process.join()
    if keep is not None:
        for number, _ in total.failures:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{reader.name}-{number}-{reader.file}").write_bytes(content_of(reader, number))
    return total, seconds


def work(answers: Connection, reader: Reader, numbers: range) -> None:
    with tempfile.TemporaryDirectory() as folder:
        warm(reader, Path(folder))
        for first in range(numbers.start, numbers.stop, BATCH):
            outcome = run(reader, range(first, min(first + BATCH, numbers.stop)), Path(folder))
            answers.send((outcome, time.process_time()))


def add(total: Outcome, part: Outcome) -> None:
    total.inputs += part.inputs
    total.refused += part.refused
    total.accepted += part.accepted
    total.slowest_s = max(total.slowest_s, part.slowest_s)
    total.failures += part.failures


def print_table(outcomes: dict[str, tuple[Outcome, float]], wall_s: float) -> None:
    table = Table(title=f"broken files, {wall_s:.0f} s", title_justify="left")
    for head in ("reader", "inputs", "refused", "accepted", "slowest ms", "mean ms", "failures"):
        table.add_column(head, justify="left" if head == "reader" else "right")
    for name, (outcome, seconds) in outcomes.items():
        counts = (outcome.inputs, outcome.refused, outcome.accepted)
        times = f"{outcome.slowest_s * 1e3:.1f}", f"{seconds / max(outcome.inputs, 1) * 1e3:.2f}"
        table.add_row(name, *(f"{count:,}" for count in counts), *times, str(len(outcome.failures)))
    table.add_section()
    sums = [sum(getattr(o, kind) for o, _ in outcomes.values()) for kind in ("inputs", "refused", "accepted")]
    slowest = max(outcome.slowest_s for outcome, _ in outcomes.values())
    failures = sum(len(outcome.failures) for outcome, _ in outcomes.values())
    table.add_row("all", *(f"{count:,}" for count in sums), f"{slowest * 1e3:.1f}", "", str(failures))
    console = Console()
    console.print(table)
    for name, (outcome, _) in outcomes.items():
        for number, reason in outcome.failures[:20]:
            console.print(f"{name} {number}: {reason[:300]}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
