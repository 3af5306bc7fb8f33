"""Does distillation help, by how much, and against which control? Arms × seeds on the demo's world.

For every seed (of the training and of the world alike) one folder below FOLDER gets its own frames, teacher, baseline
and boxes; every arm starts from that baseline and takes the same optimiser steps. A figure that stands already is not
made again, so a study that was stopped goes on. Written is one JSON of runs (table, arm, seed, figures), from which
docs/make_tables.py makes the pages' tables: means, and paired differences to the control with 95 % intervals.

Usage: python benchmarks/study.py FOLDER [--out FILE] [--seeds 0 1 …] [--arms control …] [--table arms]
       [--set KEY=VALUE …]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("monodistill", "monoskd", "monoasd")
LABELLED = {"profiles.demo.data.unlabelled_split": ""}
BOXES = "profiles.demo.unlabelled.boxes"
ARMS: dict[str, dict[str, Any]] = {
    "control": {},
    **{f"{method}, labelled": LABELLED | {"loss": method} for method in METHODS},
    "teacher's boxes": {"loss": "none"},
    **{f"{method}, features": {BOXES: "none", "loss": method} for method in METHODS},
    **{f"teacher's boxes + {method}": {"loss": method} for method in METHODS},
    "baseline's boxes": {BOXES: "baseline", "loss": "none"},
    "labels": {BOXES: "labels", "loss": "none"},
}
"""Parameters of each arm over the demo's; the control is a stage of its own."""
FIGURES = {
    f"{metric}_{iou_set}": (iou_set, f"{metric}_R40") for metric in ("3d", "bev") for iou_set in ("loose", "strict")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "metrics/study.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--table", default="arms", help="which table of docs/distillation.md the runs belong to")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of params.yaml, for all arms")
    args = parser.parse_args()
    common = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in args.set)}
    for seed in args.seeds:
        folder = args.folder / f"seed{seed}"
        prepare(folder, common | {"seed": seed, "data_seed": seed})
        for arm in args.arms:
            run_arm(folder, arm, common | {"seed": seed, "data_seed": seed})
        write_study(args.folder, args.out, args.table)


def prepare(folder: Path, params: Mapping[str, Any]) -> None:
    """Make the world, the teacher and the baseline of one seed."""
    if (folder / "ready").exists():
        return
    workspace(folder, params)
    for stage in (["scenes", "data/demo"], ["depth", "labelled"], ["depth", "unlabelled"], ["teacher"], ["baseline"]):
        run_stage(folder, *stage)
    for network in ("teacher", "baseline"):
        score(folder, network, folder / f"{network}.json")
    (folder / "ready").touch()


def run_arm(folder: Path, arm: str, params: Mapping[str, Any]) -> None:
    """Train one arm in a folder of its own over the seed's frames, and keep its figures alone."""
    figures = folder / f"{arm}.json"
    if figures.exists():
        return
    own = folder / "arm"
    shutil.rmtree(own, ignore_errors=True)
    workspace(own, {**params, **ARMS[arm]})
    for name in ("demo", "depth", "depth_unlabelled", "models"):
        target = (folder / "data" / name).resolve()
        shutil.copytree(target, own / "data" / name) if name == "models" else (own / "data" / name).symlink_to(target)
    if arm == "control":
        run_stage(own, "control")
    else:
        run_stage(own, "label")
        run_stage(own, "distill")
        shutil.copy(own / "metrics/labels.json", folder / f"{arm} labels.json")
    score(own, "control" if arm == "control" else "student", figures)


def workspace(folder: Path, params: Mapping[str, Any]) -> None:
    """Write params.yaml with some values replaced."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for dotted, value in params.items():
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        node[last] = value
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a script of stages/ in `folder`."""
    command = [sys.executable, str(ROOT / "stages" / f"{stage}.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, cwd=folder, env=environment, check=True)


def score(folder: Path, network: str, out: Path) -> None:
    """Predict and evaluate one network, and write Car's moderate figures."""
    run_stage(folder, "predict", network)
    command = [sys.executable, "-m", "monokd.cli", "evaluate", "data/demo/training/label_2"]
    command += [f"data/predictions/{network}", "--split", "data/demo/ImageSets/val.txt", "--classes", "Car", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    out.write_text(json.dumps({name: found[s]["Car"][key]["moderate"] for name, (s, key) in FIGURES.items()}))


def write_study(folder: Path, out: Path, table: str) -> None:
    """Collect what stands in the folders of all seeds; runs of other tables stay."""
    runs = [run for run in json.loads(out.read_text())["runs"] if run["table"] != table] if out.exists() else []
    for ready in sorted(folder.glob("seed*/ready")):
        seed = int(ready.parent.name.removeprefix("seed"))
        for arm in ("teacher", "baseline", *ARMS):
            figures = ready.parent / f"{arm}.json"
            if figures.exists():
                runs.append({"table": table, "arm": arm, "seed": seed} | json.loads(figures.read_text()))
    out.write_text(json.dumps({"runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
