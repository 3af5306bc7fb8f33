"""The history of a training stage: one CSV row an epoch, the file always whole."""

from datetime import timedelta
from pathlib import Path

import pandas as pd

from monokd.files import write_text
from monokd.typing import WEIGHT


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write `rows` as CSV; columns in order of first appearance, numbers with nine significant digits."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.9g"))


def history_line(row: dict[str, float], epochs: int, left_s: float) -> str:
    """Return one readable line for the terminal, with the time left; weights are named where they are not 1."""
    losses = [f"{name} {row[name]:.4g}" for name in row if name != "epoch" and not name.startswith(WEIGHT)]
    weights = [f"{n.removeprefix(WEIGHT)} {row[n]:.3g}" for n in row if n.startswith(WEIGHT) and row[n] != 1.0]
    line = f"epoch {int(row['epoch'])}/{epochs} {' '.join(losses)}"
    line += f" | weights: {' '.join(weights)}" if weights else ""
    return f"{line} | {timedelta(seconds=round(left_s))} left" if left_s else line
