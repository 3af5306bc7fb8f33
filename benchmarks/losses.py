"""Losses × seeds on the demo: does distillation beat the control that trains as long without it?

Runs the pipeline's own stages for every seed (a new world, teacher and baseline) and every loss (a student each),
`--jobs` at a time with one thread each, and prints mean, spread and the difference paired by seed. A finished run is
kept in the working folder and taken up again. One thread rounds otherwise than two: the numbers differ a little from
those of `make repro`.

A variant is a further student on the same worlds, teachers and baselines, with parameters of its own:

    --variant monoskd-published loss=monoskd quirks.rank_teacher_only=true
    --variant monoskd-far=loss=monoskd,losses.monoskd.affinity=2

Usage: python benchmarks/losses.py WORK [--seeds 0 1 2] [--losses none monoskd …] [--set KEY=VALUE …]
       [--variant NAME KEY=VALUE …] [--out FILE.json]
"""

import argparse
import copy
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from monokd.commands.experiments import RUN_COLUMNS
from monokd.commands.summarize import entries, show, to_table
from monokd.errors import run
from monokd.files import write_json
from monokd.params import load_params
from monokd.report.results import read_ap
from monokd.report.summary import summary

ROOT = Path(__file__).resolve().parents[1]
DATA = ("demo", "depth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--losses", nargs="+", default=["none", "monodistill", "monoskd", "monoasd"])
    parser.add_argument("--set", dest="changes", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--variant", dest="variants", nargs="+", action="append", default=[], metavar="NAME KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    # Error bars over frames would need the baseline's predictions beside each student; seeds give the spread here.
    tree = changed(tree, [f"profiles.{tree['profile']}.evaluate.bootstrap=0", *args.changes])
    students = named_students(args.losses, args.variants)
    for seed in args.seeds:  # a wrong parameter stops here, not after the teachers
        keep_params(args.work / f"{seed}", tree | {"seed": seed})
        for name, changes in students.items():
            keep_params(args.work / f"{seed}-{name}", changed(tree | {"seed": seed}, changes))
    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(lambda seed: world(args.work / f"{seed}"), args.seeds))
        single = [(args.work / f"{seed}", stage) for seed in args.seeds for stage in ("teacher", "baseline")]
        list(pool.map(lambda job: scored(job[0], job[1], job[1]), single))
        jobs = [(args.work / f"{seed}-{name}", args.work / f"{seed}") for seed in args.seeds for name in students]
        list(pool.map(lambda job: student(*job), jobs))
    rows = [
        ("Car", metric, name if name in students else f"({name})", seed, value)
        for name in (*sorted(students, key=lambda name: name != "none"), "baseline", "teacher")
        for seed in args.seeds
        for metric, value in values(args.work, seed, name).items()
    ]
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    show(to_table(runs, "none", "loss"), "Losses over seeds, paired by seed against 'none'", markdown=True)
    if args.out:
        write_json(args.out, entries(runs, "none")["Car"])


def named_students(losses: list[str], variants: list[list[str]]) -> dict[str, list[str]]:
    """Name → parameters to change: the losses, then the variants."""
    students = {loss: [f"loss={loss}"] for loss in losses}
    for words in variants:
        name, _, changes = re.sub(r"\s+", "=", " ".join(words), count=1).partition("=")
        if name in students or not re.fullmatch(r"[\w.-]+", name) or "=" not in changes:
            sys.exit(f"losses: --variant: expected a new NAME, then KEY=VALUE, found {' '.join(words)!r}")
        students[name] = re.split(r"[\s,]+(?=[\w.]+=)", changes)
    return students


def changed(tree: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """A copy of the parameters with dotted keys set; parents must exist."""
    tree = copy.deepcopy(tree)
    for change in changes:
        dotted, _, value = change.partition("=")
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                sys.exit(f"losses: {dotted}: there is no {parent!r} in params.yaml")
            node = node[parent]
        node[last] = yaml.safe_load(value)
    return tree


def world(folder: Path) -> None:
    """The frames and depth of one seed."""
    if not (folder / "metrics/depth.json").exists():
        stage(folder, "scenes", "data/demo")
        stage(folder, "depth", "data/demo", "data/depth", "metrics/depth.json")


def keep_params(folder: Path, tree: dict[str, Any]) -> None:
    """Write params.yaml and check it; a folder that holds results of other parameters is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "params.yaml"
    if path.exists() and in_force(yaml.safe_load(path.read_text())) != in_force(tree):
        sys.exit(f"losses: {path} differs from what this run asks for: remove the folder, or choose another WORK")
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    load_params(path)


def in_force(tree: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a run in one folder depends on."""
    loss, profile = tree["loss"], tree["profile"]
    return tree | {"losses": tree["losses"].get(loss), "profiles": tree["profiles"][profile]}


def student(folder: Path, seed_folder: Path) -> None:
    """One student on the frames and start weights of one seed."""
    (folder / "data/models").mkdir(parents=True, exist_ok=True)
    for shared in (*DATA, "models/teacher.safetensors", "models/baseline.safetensors"):
        link = folder / "data" / shared
        if not link.is_symlink():
            link.symlink_to((seed_folder / "data" / shared).resolve())
    scored(folder, "distill", "student")


def scored(folder: Path, script: str, model: str) -> None:
    """Train, predict and evaluate one model, unless it is there."""
    if (folder / f"metrics/{model}/kitti.json").exists():
        return
    stage(folder, script)
    stage(folder, "predict", model)
    stage(folder, "evaluate", model)


def stage(folder: Path, script: str, *arguments: str) -> None:
    """Run a stage of the pipeline in `folder`; its output goes to a log."""
    command = [sys.executable, str(ROOT / "stages" / f"{script}.py"), *arguments]
    with (folder / "log.txt").open("a") as log:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        sys.exit(f"losses: {script} failed, see {folder / 'log.txt'}")
    print(json.dumps({"done": script, "in": folder.name}), file=sys.stderr)


def values(work: Path, seed: int, name: str) -> dict[str, float]:
    """The headline numbers of one model."""
    single = name in ("teacher", "baseline")
    model = name if single else "student"
    folder = work / (f"{seed}" if single else f"{seed}-{name}")
    numbers = summary(read_ap(folder / "metrics", [model]), [model])[model]["Car"]
    return {metric: value for metric, value in numbers.items() if value is not None}


if __name__ == "__main__":
    run(main)
