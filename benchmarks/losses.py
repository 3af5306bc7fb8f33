"""Losses × seeds on the demo: does distillation beat the control that trains as long without it?

Runs the pipeline's own stages for every seed (a new world, teacher and baseline) and every loss (a student each),
`--jobs` at a time with one thread each, and prints mean, spread and the difference paired by seed. A finished run is
kept in the working folder and taken up again. One thread rounds otherwise than two: the numbers differ a little from
those of `make repro`.

Usage: python benchmarks/losses.py WORK [--seeds 0 1 2] [--losses none monoskd …] [--set KEY=VALUE …] [--out FILE.json]
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from monokd.files import read_json, write_json
from monokd.report.summarize import Run, summarize, to_json, to_table
from monokd.report.summary import summary
from monokd.report.tables import to_markdown

ROOT = Path(__file__).resolve().parents[1]
DATA = ("demo", "depth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--losses", nargs="+", default=["none", "monodistill", "monoskd", "monoasd"])
    parser.add_argument("--set", dest="changes", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    tree = changed(yaml.safe_load((ROOT / "params.yaml").read_text()), args.changes)
    with ThreadPoolExecutor(args.jobs) as pool:
        worlds = list(pool.map(lambda seed: world(args.work / f"{seed}", tree | {"seed": seed}), args.seeds))
        single = [(folder, stage) for folder in worlds for stage in ("teacher", "baseline")]
        list(pool.map(lambda job: scored(job[0], job[1], job[1]), single))
        students = [(folder, loss) for folder in worlds for loss in args.losses]
        list(pool.map(lambda job: student(*job), students))
    runs = [
        Run(loss if loss in args.losses else f"({loss})", seed, values(args.work, seed, loss))
        for seed in args.seeds
        for loss in (*args.losses, "baseline", "teacher")
    ]
    entries = summarize(runs)
    print(to_markdown(to_table(entries)))
    if args.out:
        write_json(args.out, to_json(entries))


def changed(tree: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """The parameters with dotted keys set."""
    for change in changes:
        dotted, _, value = change.partition("=")
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        node[last] = yaml.safe_load(value)
    return tree


def world(folder: Path, tree: dict[str, Any]) -> Path:
    """The frames and depth of one seed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    if not (folder / "metrics/depth.json").exists():
        stage(folder, "scenes", "data/demo")
        stage(folder, "depth", "data/demo", "data/depth", "metrics/depth.json")
    return folder


def student(seed_folder: Path, loss: str) -> None:
    """One loss on the frames and start weights of one seed."""
    folder = seed_folder.with_name(f"{seed_folder.name}-{loss}")
    (folder / "data/models").mkdir(parents=True, exist_ok=True)
    for name in (*DATA, "models/teacher.safetensors", "models/baseline.safetensors"):
        link = folder / "data" / name
        if not link.is_symlink():
            link.symlink_to((seed_folder / "data" / name).resolve())
    tree = yaml.safe_load((seed_folder / "params.yaml").read_text()) | {"loss": loss}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
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


def values(work: Path, seed: int, loss: str) -> dict[str, float]:
    """The headline numbers of one model."""
    single = loss in ("teacher", "baseline")
    model = loss if single else "student"
    folder = work / (f"{seed}" if single else f"{seed}-{loss}")
    numbers = summary({model: read_json(folder / f"metrics/{model}/kitti.json")})[model]["Car"]
    return {name: value for name, value in numbers.items() if value is not None}


if __name__ == "__main__":
    main()
