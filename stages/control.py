"""Stage `control`: the student's start, schedule and steps, by labels alone. Usage: python stages/control.py"""

from pathlib import Path

from monokd.errors import run
from monokd.params import load_params
from monokd.training.stage import train_control

MODELS = Path("data/models")


def main() -> None:
    baseline, out = MODELS / "baseline.safetensors", MODELS / "control.safetensors"
    train_control(load_params(), baseline=baseline, out=out, history=Path("metrics/control/history.csv"))


if __name__ == "__main__":
    run(main)
