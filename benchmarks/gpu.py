"""The first hour on a GPU, as one command, without a network or DVC, on frames made on the spot.

    python benchmarks/gpu.py [--out gpu]                    everything; gpu.json and gpu.md, written after every part
    python benchmarks/gpu.py --parts steps epoch            some of it
    python benchmarks/gpu.py --device cpu --small           the same in miniature, without a GPU

Parts, in this order: `tests` (those that need a GPU; every loss in both behaviours repeats to the same bits), `agree`
(the same batch and weights on the CPU and the GPU), `stop` (killed and continued to the same bits, alone and under
torchrun), `steps` (a full-size step by phase, switch by switch), `kernels` (ranks and scan), `data` (the loader by
workers) and `epoch` (of full-size frames). Each ends in verdicts; the exit status is 1 where one does not hold.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_checks import agree, epoch, stop, tests
from gpu_tables import Found, Options, data, kernel_tables, steps
from measure import make_frames, markdown, show

from monokd import __version__
from monokd.files import write_json, write_text

PARTS: dict[str, tuple[str, Callable[[Options], Found]]] = {
    "tests": ("Tests that need a GPU, and steps that repeat to the bit", tests),
    "agree": ("One batch, the same weights, on the CPU and on the device", agree),
    "stop": ("Killed after an epoch and continued", stop),
    "steps": ("A full-size step", steps),
    "kernels": ("Ranks and scan, in deterministic mode", kernel_tables),
    "data": ("The data path", data),
    "epoch": ("An epoch of the student's stage", epoch),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, in this process: does the script work?")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="name of the .json and .md files")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("gpu: this machine has no CUDA device; `--device cpu --small` runs the same in miniature")
        return
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    report: dict[str, Any] = {"device": device, "torch": torch.__version__}
    report |= {"monokd": __version__, "small": arguments.small, "parts": {}}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        options = Options(arguments.device, arguments.small, work, work / "frames", work / "depth")
        size = {"width_px": 416, "height_px": 128} if arguments.small else {}
        make_frames(options.frames, options.depth, 4 if arguments.small else 64, **size)
        for part in arguments.parts:
            report["parts"][part] = run(part, options)
            write_json(arguments.out.with_suffix(".json"), report)
            write_text(arguments.out.with_suffix(".md"), page(report))
    verdicts = [verdict for part in report["parts"].values() for verdict in part["verdicts"]]
    print(*map(line, verdicts), sep="\n")
    sys.exit(int(any(not verdict["holds"] for verdict in verdicts)))


def run(name: str, options: Options) -> dict[str, Any]:
    """One part; what it raises is a verdict, and the next part runs."""
    title, part = PARTS[name]
    began, found = time.perf_counter(), Found()
    try:
        found = part(options)
    except Exception as error:  # its traceback is printed and its last line kept
        traceback.print_exc()
        found.verdict(False, f"{name}: {type(error).__name__}: {(str(error) or 'no message').splitlines()[-1][:200]}")
    for table, rows in found.tables.items():
        show(table, rows)
    seconds = time.perf_counter() - began
    return {"title": title, "seconds": seconds, "verdicts": found.verdicts, "tables": found.tables}


def line(verdict: dict[str, Any]) -> str:
    return f"- {'holds' if verdict['holds'] else '**DOES NOT HOLD**'}: {verdict['text']}"


def page(report: dict[str, Any]) -> str:
    """The report as Markdown, verdicts first."""
    parts = report["parts"].values()
    lines = [f"# {report['device']}, torch {report['torch']}, monokd {report['monokd']}", ""]
    lines += [line(verdict) for part in parts for verdict in part["verdicts"]]
    for part in parts:
        lines += ["", f"## {part['title']} ({part['seconds']:.0f} s)"]
        for table, rows in part["tables"].items():
            lines += ["", f"{table}:", "", markdown(rows).rstrip()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
