"""Training that survives and repeats: hashes of weights after kills at random moments, and of every stage's outputs.

Kills: a training stage is killed with signal 9 at a random moment and run again; its weights must be those of a run
that nobody disturbed. Repeats: the whole pipeline three times, the third time with other numbers of worker processes
everywhere; every output must be the same bits. The settings are tiny (12 frames, 24 epochs, 416×128 pixels).

Usage: python benchmarks/resume.py [WORK] [--kills 12] [--seed 0] [--only kills|repeats]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
TRAINING = {"teacher": "teacher", "baseline": "baseline", "distill": "student"}
MODELS = tuple(TRAINING.values())
EPOCHS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path)
    parser.add_argument("--kills", type=int, default=12, help="over the three training stages in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=("kills", "repeats"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        first = whole_run(work / "first")
        same = True
        if args.only != "kills":
            second, third = whole_run(work / "second"), whole_run(work / "third", workers=2)
            same &= compare({"run 1": first, "run 2": second, "other workers": third})
        if args.only != "repeats":
            same &= kills(work, first, args.kills, random.Random(args.seed))
    sys.exit(0 if same else "resume: outputs differ")


def kills(work: Path, expected: dict[str, str], count: int, moments: random.Random) -> bool:
    """Kill, run again, compare; a moment is drawn over the whole duration of the stage."""
    table = Table(
        "stage", "killed after", "whole epochs then", "sha256", "same bits", title="signal 9 at random moments"
    )
    seconds: dict[str, float] = {}
    same = True
    for turn in range(count):
        script = list(TRAINING)[turn % len(TRAINING)]
        model = TRAINING[script]
        folder = beside(work / "first", work / "killed", keep=MODELS if script == "distill" else ())
        if script not in seconds:
            start = time.perf_counter()
            run(folder, script)
            seconds[script] = time.perf_counter() - start
            folder = beside(work / "first", work / "killed", keep=MODELS if script == "distill" else ())
        after, epochs = killed(folder, script, seconds[script] * moments.random())
        run(folder, script)
        found = digest(folder / f"data/models/{model}.safetensors")
        equal = found == expected[script]
        same &= equal
        table.add_row(script, f"{after:.2f} s of {seconds[script]:.2f}", epochs, found[:16], "yes" if equal else "NO")
    Console(width=110).print(table)
    return same


def killed(folder: Path, script: str, after_s: float) -> tuple[float, str]:
    """When the stage was killed, and how many epochs its saved state then held; a run that won the race is repeated."""
    process = subprocess.Popen(command(script), cwd=folder, env=environment(), stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if process.returncode == 0:
        (folder / f"data/models/{TRAINING[script]}.safetensors").unlink()
        return killed(folder, script, after_s * 0.9)
    states = list(folder.glob(".checkpoints/*/state.pt"))
    epochs = str(torch.load(states[0], weights_only=True)["epoch"]) if states else "no state"
    return after_s, epochs


def compare(runs: dict[str, dict[str, str]]) -> bool:
    table = Table("stage", *runs, "same bits", title="outputs of every stage, sha256")
    all_same = True
    for stage in next(iter(runs.values())):
        found = [outputs[stage] for outputs in runs.values()]
        same = len(set(found)) == 1
        all_same &= same
        table.add_row(stage, *(text[:16] for text in found), "yes" if same else "NO")
    Console(width=110).print(table)
    return all_same


def whole_run(folder: Path, workers: int = 0) -> dict[str, str]:
    """The hash of every stage's outputs; with `workers`, also one core for the stages that take all cores otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny(workers), sort_keys=False))
    limit = (lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})) if workers else None
    run(folder, "scenes", "data/demo", limit=limit)
    run(folder, "depth", "data/demo", "data/depth", "metrics/depth.json", limit=limit)
    hashes = {"scenes": digest(folder / "data/demo"), "depth": digest(folder / "data/depth")}
    for script, model in TRAINING.items():
        run(folder, script)
        hashes[script] = digest(folder / f"data/models/{model}.safetensors")
    for model in MODELS:
        run(folder, "predict", model)
        hashes[f"predict@{model}"] = digest(folder / "data/predictions" / model)
    for model in MODELS:
        run(folder, "evaluate", model)  # needs the baseline's predictions for any of them
        hashes[f"evaluate@{model}"] = digest(folder / "metrics" / model / "kitti.json")
    return hashes


def tiny(workers: int) -> dict[str, Any]:
    """The demo, small enough to train in seconds."""
    tree: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    demo = tree["profiles"]["demo"]
    demo["scenes"] |= {"train_frames": 12, "val_frames": 4, "width_px": 416, "height_px": 128}
    demo["model"]["width"] = 0.125
    demo["machine"] |= {"accelerator": "cpu", "workers": workers, "cache_images": workers == 0}
    for model in MODELS:
        demo[model] |= {"epochs": EPOCHS, "batch_size": 2}
    return tree


def beside(first: Path, folder: Path, keep: tuple[str, ...]) -> Path:
    """A fresh folder over the data of `first`, with the weights that the stage starts from."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data/models").mkdir(parents=True)
    (folder / "params.yaml").write_bytes((first / "params.yaml").read_bytes())
    for name in ("demo", "depth"):
        (folder / "data" / name).symlink_to((first / "data" / name).resolve())
    for model in keep:
        if model != "student":
            shutil.copy(first / f"data/models/{model}.safetensors", folder / "data/models")
    return folder


def run(folder: Path, script: str, *arguments: str, limit: Callable[[], None] | None = None) -> None:
    done = subprocess.run(
        command(script, *arguments), cwd=folder, env=environment(), capture_output=True, text=True, check=False,
        preexec_fn=limit,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"resume: {script} failed: {done.stderr.strip()}")


def command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "stages" / f"{script}.py"), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def digest(path: Path) -> str:
    """Of a file, or of all files of a folder with their names."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    total = hashlib.sha256()
    for file in files:
        name = str(file.relative_to(path)) if file != path else ""
        total.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


if __name__ == "__main__":
    main()
