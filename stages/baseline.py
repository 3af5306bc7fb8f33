"""Stage `baseline`: the detector that sees the image alone. Usage: python stages/baseline.py"""

from pathlib import Path

from monokd.errors import run
from monokd.params import load_params
from monokd.training.stage import train_detector


def main() -> None:
    train_detector(
        load_params(),
        "baseline",
        out=Path("data/models/baseline.safetensors"),
        history=Path("metrics/baseline/history.csv"),
    )


if __name__ == "__main__":
    run(main)
