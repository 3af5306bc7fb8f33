"""The history of a training stage: one CSV row an epoch, the file always whole."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from monokd.files import write_text


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `rows` as CSV; columns in order of first appearance, numbers with nine significant digits."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if name not in row else f"{row[name]:.9g}" for name in columns])
    write_text(path, text.getvalue())


def history_line(row: dict[str, float], epochs: int) -> str:
    """One readable line for the terminal."""
    shown = " ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
    return f"epoch {int(row['epoch'])}/{epochs} {shown}"
