"""What a GPU makes of training: one command, without a network or DVC, on frames made on the spot.

    python benchmarks/gpu.py [--out FILE.json]                  everything, about an hour; rows are kept as they come
    python benchmarks/gpu.py --methods none monoskd --batches 8 --modes bf16
    python benchmarks/gpu.py --device cpu --quick               the same paths in miniature, without a GPU

Training steps at the published size: images a second and peak memory of the baseline (`none`) and every loss, by batch
size and mode (float32, tf32, bf16, each a process of its own; compiled is bf16 under torch.compile), the time of each
phase and what each distillation term takes of a step. Then the data path: augmented samples with targets a second by
loader workers, beside what the fastest step needs. Then the tables of the rank loss and of the selective scan.
A configuration that does not fit the memory says so in its row.
"""

from __future__ import annotations

import argparse
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from monokd.depth.folder import densify_folder
from monokd.distill.methods import METHODS
from monokd.files import read_json, write_json
from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Augmentation
from monokd.samples.dataset import Frames, InputSettings
from monokd.samples.loader import build_loader
from monokd.scenes.generate import generate_scenes
from monokd.scenes.settings import SceneSettings

HERE = Path(__file__).resolve().parent
MODES = {"float32": ("32",), "tf32": ("tf32",), "bf16": ("bf16",), "compiled": ("bf16", "--compile")}
CONSOLE = Console(width=120)


def main() -> None:
    options = parsed()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("gpu: this machine has no CUDA device; `--device cpu --quick` runs the same paths in miniature")
        return
    found: dict[str, Any] = {"device": device_name(options.device), "torch": torch.__version__, "steps": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_frames(work, options)
        print(f"{found['device']}, torch {found['torch']}: {options.height}×{options.width}", flush=True)
        for method in options.methods:
            for batch in options.batches:
                for mode in options.modes:
                    found["steps"].append(step_row(work, options, method, batch, mode))
                    keep(options.out, found)
        found["data"] = data_path(work, options)
        CONSOLE.print(steps_table(found["steps"]), *shares_tables(found["steps"]), data_table(found))
        for name in ("rank_loss", "scan"):
            found[name] = other_table(work, name, options)
            keep(options.out, found)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a few steps: does the script work?")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 16, 32])
    parser.add_argument("--modes", nargs="+", choices=tuple(MODES), default=list(MODES))
    parser.add_argument("--behaviour", choices=("published", "corrected"), default="corrected")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, help="JSON, written after every row")
    options = parser.parse_args()
    options.height, options.width, options.channels, options.frames = 384, 1280, 1.0, 32
    options.workers = [count for count in (0, 2, 4, 8, 16, 32) if count <= len(os.sched_getaffinity(0))]
    if options.quick:
        options.height, options.width, options.channels, options.frames = 64, 128, 0.125, 2
        options.steps, options.workers = 2, [0]
    return options


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def make_frames(work: Path, options: argparse.Namespace) -> None:
    """Synthetic frames in KITTI's layout, with dense depth."""
    processes = 1 if options.quick else len(os.sched_getaffinity(0))
    width_px, height_px = (416, 128) if options.quick else (1242, 375)
    settings = SceneSettings(train_frames=options.frames, val_frames=1, width_px=width_px, height_px=height_px)
    generate_scenes(work / "frames", settings, workers=processes)
    root = KittiFolder(work / "frames")
    densify_folder(root, work / "depth", root.frames(), workers=processes)


def step_row(work: Path, options: argparse.Namespace, method: str, batch: int, mode: str) -> dict[str, Any]:
    """One configuration of training steps."""
    precision, *compiled = MODES[mode]
    out = work / "row.json"
    out.unlink(missing_ok=True)
    arguments = [
        work / "frames", "--depth", work / "depth", "--method", method, "--behaviour", options.behaviour,
        "--precision", precision, *compiled, "--device", options.device, "--batch", batch, "--height", options.height,
        "--width", options.width, "--channels", options.channels, "--steps", options.steps, "--phases", "--out", out,
    ]  # fmt: skip
    errors = script("full_size", arguments, options)
    about = {"method": method, "batch": batch, "mode": mode}
    if out.exists():
        row: dict[str, Any] = read_json(out)
        print(f"{method:12} batch {batch:3} {mode:9} {row['images_per_s']:8.1f} images a second", flush=True)
        return row | about
    last = (errors.strip().splitlines() or ["no message"])[-1]
    error = "out of memory" if "out of memory" in errors.lower() else last[:200]
    print(f"{method:12} batch {batch:3} {mode:9} {error}", flush=True)
    return about | {"error": error}


def script(name: str, arguments: Sequence[object], options: argparse.Namespace, *, shown: bool = False) -> str:
    """Run another benchmark: in a process of its own, whose error output is returned; in quick mode in this one."""
    path, given = str(HERE / f"{name}.py"), [str(argument) for argument in arguments]
    if not options.quick:
        done = subprocess.run([sys.executable, path, *given], capture_output=not shown, text=True, check=False)
        return done.stderr or ""
    own = sys.argv
    sys.argv = [path, *given]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv = own
    return ""


def steps_table(rows: list[dict[str, Any]]) -> Table:
    table = Table("loss", "batch", "mode", "images a second", "ms a step", "peak GiB", title="training steps")
    for row in rows:
        numbers = (
            [row["error"], "", ""]
            if "error" in row
            else [f"{row['images_per_s']:.1f}", f"{1e3 * row['step_s']:.0f}", f"{row['peak_mib'] / 1024:.2f}"]
        )
        table.add_row(row["method"], str(row["batch"]), row["mode"], *numbers)
    return table


def shares_tables(rows: list[dict[str, Any]]) -> list[Table]:
    """For each loss, at its largest batch that has phases: phases, and each term alone, in shares of a step."""
    tables = []
    for method in dict.fromkeys(row["method"] for row in rows):
        timed = [row for row in rows if row["method"] == method and "phases_ms" in row]
        if not timed:
            continue
        row = max(timed, key=lambda row: (row["batch"], row["mode"] == "bf16"))
        title = f"{method}, batch {row['batch']}, {row['mode']}: shares of {1e3 * row['step_s']:.0f} ms"
        table = Table("part", "ms", "share of a step", title=title)
        for name, ms in (row["phases_ms"] | row["terms_ms"]).items():
            table.add_row(name, f"{ms:.1f}", f"{ms / 10 / row['step_s']:.1f} %")
        tables.append(table)
    return tables


def data_path(work: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """Augmented samples with targets a second, from files, by loader workers, without a network behind."""
    root = KittiFolder(work / "frames")
    batch = options.batches[0]
    names = (root.frames()[: options.frames] * (1 + 8 * batch // options.frames))[: 8 * batch]
    frames = Frames(
        root, names, InputSettings(options.height, options.width), depth_dir=work / "depth", labels=True,
        augmentation=Augmentation(),
    )  # fmt: skip
    rows = []
    for workers in options.workers:
        loader = build_loader(
            frames, batch_size=batch, training=True, workers=workers, device=torch.device(options.device)
        )
        for _ in loader.batches(0):  # starts the workers and loads compiled code
            pass
        began = time.perf_counter()
        count = sum(len(one.frames) for one in loader.batches(1))
        rows.append({"workers": workers, "images_per_s": count / (time.perf_counter() - began)})
    return rows


def data_table(found: dict[str, Any]) -> Table:
    speeds = [row["images_per_s"] for row in found["steps"] if "images_per_s" in row]
    fastest = max(speeds, default=0.0)
    title = f"data path; the fastest step takes {fastest:.0f} images a second"
    table = Table("loader workers", "images a second", "× the fastest step's need", title=title)
    for row in found["data"]:
        share = f"{row['images_per_s'] / fastest:.2f}" if fastest else ""
        table.add_row(f"{row['workers']:.0f}", f"{row['images_per_s']:.0f}", share)
    return table


def other_table(work: Path, name: str, options: argparse.Namespace) -> Any:
    """The tables of another benchmark on this device, printed as it runs."""
    out = work / f"{name}.json"
    quick = ["--quick"] if options.quick else []
    script(name, ["--device", options.device, "--out", out, *quick], options, shown=True)
    return read_json(out) if out.exists() else None


def keep(path: Path | None, found: dict[str, Any]) -> None:
    if path is not None:
        write_json(path, found)


if __name__ == "__main__":
    main()
