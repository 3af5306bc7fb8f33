"""The history of a training stage: one CSV row an epoch, the file always whole."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

from monokd.files import write_text

WEIGHT = "weight_"


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `rows` as CSV; columns in order of first appearance, numbers with nine significant digits."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if name not in row else f"{row[name]:.9g}" for name in columns])
    write_text(path, text.getvalue())


def history_line(row: dict[str, float], epochs: int, left_s: float) -> str:
    """One readable line for the terminal, with the time left; weights are named where they are not 1."""
    plain = {name: value for name, value in row.items() if name != "epoch" and not name.startswith(WEIGHT)}
    weights = {name.removeprefix(WEIGHT): row[name] for name in row if name.startswith(WEIGHT) and row[name] != 1.0}
    shown = " ".join(f"{name} {value:.4g}" for name, value in plain.items())
    weighed = " ".join(f"{name} {value:.3g}" for name, value in weights.items())
    parts = [f"epoch {int(row['epoch'])}/{epochs} {shown}", f"weights: {weighed}" if weighed else ""]
    parts.append(f"{timedelta(seconds=round(left_s))} left" if left_s else "")
    return " | ".join(part for part in parts if part)
