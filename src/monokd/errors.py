"""The one error that a user's data or parameters may raise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


class DataError(Exception):
    """Something the user supplied is wrong; the message is one line and says where, what was expected, what was found.

    Args:
        reason: what was expected and what was found.
        path: the file at fault.
        line: its line, counted from 1.
    """

    def __init__(self, reason: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.reason, self.path, self.line = reason, path, line
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(" ".join(f"{where}{reason}".split()))

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str | Path | None, int | None]]:
        """Pickle by the constructor's arguments, so that worker processes can raise it."""
        return type(self), (self.reason, self.path, self.line)


def run(command: Callable[[], object]) -> None:
    """Run a program's `command`; wrong data ends in one line on stderr and exit status 2."""
    try:
        command()
    except DataError as error:
        print(f"monokd: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"monokd: {where}{error.strerror or error}", file=sys.stderr)
    else:
        return
    sys.exit(2)
