"""Stage `teacher`: the detector that sees dense depth. Usage: python stages/teacher.py"""

from pathlib import Path

from monokd.errors import run
from monokd.params import load_params
from monokd.training.stage import train_detector


def main() -> None:
    train_detector(
        load_params(),
        "teacher",
        out=Path("data/models/teacher.safetensors"),
        history=Path("metrics/teacher/history.csv"),
    )


if __name__ == "__main__":
    run(main)
