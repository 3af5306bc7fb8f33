"""Stage `teacher`: the detector that sees dense depth. Usage: python stages/teacher.py"""

from pathlib import Path

from monokd.errors import run
from monokd.params import load_params
from monokd.training.stage import train_detector


def main() -> None:
    out, history = Path("data/models/teacher.safetensors"), Path("metrics/teacher/history.csv")
    train_detector(load_params(), "teacher", out=out, history=history)


if __name__ == "__main__":
    run(main)
