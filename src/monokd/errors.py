"""The one error that a user's data or parameters may raise."""

from __future__ import annotations

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
