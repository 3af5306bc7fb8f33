"""Stage `control`: the student's start, schedule and steps, by labels alone. Usage: python stages/control.py"""

from pathlib import Path

from monokd.distill.student import train_student
from monokd.errors import run
from monokd.params import load_params

MODELS = Path("data/models")


def main() -> None:
    baseline, out = MODELS / "baseline.safetensors", MODELS / "control.safetensors"
    train_student(load_params(), "control", baseline=baseline, out=out, history=Path("metrics/control/history.csv"))


if __name__ == "__main__":
    run(main)
