"""The one error that a user's data or parameters may raise, and the one line that a user sees of any."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

INTERRUPTED = 130  # what a shell reports for Ctrl-C


class DataError(Exception):
    """Something the user supplied is wrong; one line says where, what was expected, what was found."""

    def __init__(self, reason: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.reason, self.path, self.line = reason, path, line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(printable(f"{where}{reason}"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments, so that worker processes can raise it."""
        return type(self), (self.reason, self.path, self.line)


def printable(text: object) -> str:
    """`text` in one line that no terminal obeys: control characters and right-to-left marks are spelled out."""
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def say(message: object) -> None:
    """One line on stderr."""
    print(f"monokd: {printable(message)}", file=sys.stderr)


def run(command: Callable[[], object]) -> None:
    """Run a program's `command`; wrong data, a failing disk, too little memory: one line on stderr, exit status 2."""
    try:
        try:
            command()
        finally:
            _flush_output()
        return
    except DataError as error:
        say(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
    except MemoryError as error:
        say(f"not enough memory: {error}")
    except RuntimeError as error:  # torch has no class of its own for the CPU
        if not (found := re.search(".*(out of memory|allocate memory).*", str(error))):
            raise
        say(f"not enough memory, a lower batch_size needs less: {found[0]}")
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    sys.exit(2)


def _flush_output() -> None:
    """Find out now whether what was printed arrived; at exit Python would only grumble."""
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
            sys.exit(1)
        raise OSError(error.errno, error.strerror, "standard output") from None
