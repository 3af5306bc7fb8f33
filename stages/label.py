"""Stage `label`: boxes for the frames without labels, and how good they are. Usage: python stages/label.py"""

from pathlib import Path

from monokd.errors import run
from monokd.files import write_json
from monokd.labelling.stage import label_unlabelled
from monokd.params import load_params


def main() -> None:
    write_json(Path("metrics/labels.json"), label_unlabelled(load_params(), Path("data/labels")))


if __name__ == "__main__":
    run(main)
