"""Stage `distill`: the student, from the baseline, taught by the teacher. Usage: python stages/distill.py"""

from pathlib import Path

from monokd.distill.student import train_student
from monokd.errors import run
from monokd.params import load_params

MODELS = Path("data/models")


def main() -> None:
    train_student(
        load_params(),
        "distill",
        teacher=MODELS / "teacher.safetensors",
        baseline=MODELS / "baseline.safetensors",
        out=MODELS / "student.safetensors",
        history=Path("metrics/student/history.csv"),
    )


if __name__ == "__main__":
    run(main)
