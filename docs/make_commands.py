"""Write docs/commands.md from the commands themselves. Usage: python docs/make_commands.py"""

import inspect
from importlib import import_module
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperOption

from monokd.cli import COMMANDS

PAGE = Path(__file__).parent / "commands.md"
INTRODUCTION = """\
# Commands

Made from the commands by `python docs/make_commands.py`; `monokd COMMAND --help` says the same in the terminal.
Wrong input ends in one line on stderr that names the file, line or parameter, and exit status 2; `check` ends with 1 if
it found something. Output files are written whole or not at all. The pipeline's own command is `dvc`:
[experiments.md](experiments.md).
"""
MODEL, FRAMES = "data/models/student.safetensors", "data/demo/training"
LABELS, RESULTS = f"{FRAMES}/label_2", "data/predictions/student"
EXAMPLES = {
    "check": ["monokd check data/demo"],
    "unpack": ["monokd unpack data_object_*.zip data/kitti   # needs the zip files"],
    "densify": ["monokd densify data/demo depth"],
    "evaluate": [
        f"monokd evaluate {LABELS} {RESULTS} --split data/demo/ImageSets/val.txt",
        f"monokd evaluate {LABELS} {RESULTS} --bootstrap 20 --against data/predictions/baseline",
        f"monokd evaluate {LABELS} {RESULTS} --json --classes Car",
    ],
    "show": [f"monokd show data/demo 000000 {RESULTS} data/predictions/baseline --out frame.png"],
    "predict": [
        f"monokd predict {MODEL} {FRAMES}/image_2 {FRAMES}/calib results --draw",
        f"monokd predict {MODEL} {FRAMES}/image_2/000000.png {FRAMES}/calib/000000.txt results",
        f"torchrun --nproc-per-node=2 -m monokd.cli predict {MODEL} {FRAMES}/image_2 {FRAMES}/calib results"
        "   # needs two GPUs, or cores for two",
    ],
    "import": ["monokd import checkpoint.pth student.safetensors   # needs a published checkpoint"],
    "export": [f"monokd export {MODEL} student.onnx"],
    "submit": [f"monokd submit {MODEL} data/kitti results.zip"],
    "summarize": ["monokd summarize   # needs experiments that ran"],
    "history": ["monokd history metrics/student/history.csv   # needs a training with profile kitti, as published"],
}
NOTES = {
    "densify": "How, and how well: [depth.md](depth.md).",
    "evaluate": "What is counted, error bars, the JSON: [evaluation.md](evaluation.md).",
    "predict": "Result files have KITTI's text, one an image. Camera files have KITTI's form.",
    "import": "The file then works with `predict`, `export` and `submit`: [deploy.md](deploy.md).",
    "summarize": "How runs come to be: [experiments.md](experiments.md).",
}


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *map(section, COMMANDS)])


def section(name: str) -> str:
    """What a command does, takes and looks like in use."""
    function = getattr(import_module(f"monokd.commands.{COMMANDS[name]}"), COMMANDS[name])
    rows = ["| | | |", "| --- | --- | --- |"]
    app = typer.Typer(add_completion=False)
    app.command()(function)
    for parameter in typer.main.get_command(app).params:
        if isinstance(parameter, TyperArgument):
            several = "…" if parameter.nargs == -1 else ""
            rows.append(f"| `{str(parameter.name).upper()}{several}` | {parameter.help} | |")
        elif isinstance(parameter, TyperOption):
            default = "" if parameter.default in (None, False) else f"default `{parameter.default}`"
            rows.append(f"| `{parameter.opts[0]}` | {parameter.help} | {default} |")
    text, example = inspect.getdoc(function), "\n".join(EXAMPLES[name])
    parts = [f"## {name}", text, "\n".join(rows), f"```sh\n{example}\n```", NOTES.get(name, "")]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
