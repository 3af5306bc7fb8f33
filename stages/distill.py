"""Stage `distill`: the student, from the baseline, taught by the teacher. Usage: python stages/distill.py"""

from pathlib import Path

from monokd.distill.student import train_student
from monokd.errors import run
from monokd.params import load_params

MODELS = Path("data/models")


def main() -> None:
    teacher, baseline, out = (MODELS / f"{name}.safetensors" for name in ("teacher", "baseline", "student"))
    history = Path("metrics/student/history.csv")
    train_student(load_params(), teacher=teacher, baseline=baseline, out=out, history=history)


if __name__ == "__main__":
    run(main)
