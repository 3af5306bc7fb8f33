"""Stage `baseline`: the detector that sees the image alone. Usage: python stages/baseline.py"""

from pathlib import Path

from monokd.errors import run
from monokd.params import load_params
from monokd.training.stage import train_detector


def main() -> None:
    out, history = Path("data/models/baseline.safetensors"), Path("metrics/baseline/history.csv")
    train_detector(load_params(), "baseline", out=out, history=history)


if __name__ == "__main__":
    run(main)
