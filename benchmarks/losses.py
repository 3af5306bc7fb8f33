"""Losses × seeds on the demo: does distillation beat the control, which trains as long on the labels alone?

    python benchmarks/losses.py WORK [--seeds 0 1 2] [--losses monodistill monoskd monoasd] [--set KEY=VALUE …]
        [--variant NAME KEY=VALUE …] [--out FILE.json]

Runs the pipeline's own stages for every seed (a world, teacher, baseline, control) and every loss (a student each),
`--jobs` at a time with one thread each, and prints mean, spread and the difference paired by seed. A finished stage in
the working folder is not run again. A variant is a further student with parameters of its own:

    --variant monoskd-published loss=monoskd quirks.rank_teacher_only=true
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from measure import ROOT, environment

from monokd.commands.experiments import RUN_COLUMNS
from monokd.commands.summarize import entries, show, to_table
from monokd.errors import DataError, run
from monokd.files import write_json
from monokd.params import load_params
from monokd.report.results import read_ap
from monokd.report.summary import summary

SHARED = ("teacher", "baseline", "control")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--losses", nargs="+", default=["monodistill", "monoskd", "monoasd"])
    parser.add_argument("--set", dest="changes", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--variant", dest="variants", nargs="+", action="append", default=[], metavar="NAME KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    # Intervals over frames need the control's predictions beside each student; seeds give the spread here.
    tree = changed(tree, [f"profiles.{tree['profile']}.evaluate.bootstrap=0", *options.changes])
    students = {loss: [f"loss={loss}"] for loss in options.losses}
    students |= {name: changes for name, *changes in options.variants}
    folders = {(seed, name): options.work / f"{seed}-{name}" for seed in options.seeds for name in students}
    for seed in options.seeds:  # a wrong parameter stops here, not after the teachers
        keep_params(options.work / f"{seed}", tree | {"seed": seed, "data_seed": seed})
        for name, changes in students.items():
            keep_params(folders[seed, name], changed(tree | {"seed": seed, "data_seed": seed}, changes))
    with ThreadPoolExecutor(options.jobs) as pool:
        worlds = [options.work / f"{seed}" for seed in options.seeds]
        list(pool.map(world, worlds))
        list(pool.map(lambda job: student(job[1], options.work / f"{job[0][0]}"), folders.items()))
    rows = [
        ("Car", metric, name, seed, value)
        for name in (*SHARED[::-1], *students)
        for seed in options.seeds
        for metric, value in values(folders.get((seed, name), options.work / f"{seed}"), name).items()
    ]
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    show(to_table(runs, "control", "loss"), "Losses over seeds, paired by seed against the control", markdown=True)
    if options.out:
        write_json(options.out, entries(runs, "control")["Car"])


def changed(tree: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """A copy of the parameters with dotted keys set; parents must exist."""
    tree = copy.deepcopy(tree)
    for change in changes:
        dotted, _, value = change.partition("=")
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                raise DataError(f"{dotted}: expected a key of params.yaml, found no {parent!r}")
            node = node[parent]
        node[last] = yaml.safe_load(value)
    return tree


def keep_params(folder: Path, tree: dict[str, Any]) -> None:
    """Write params.yaml and check it; a folder of other parameters is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "params.yaml"
    if path.exists() and yaml.safe_load(path.read_text()) != tree:
        raise DataError("expected the parameters of this run, found others: remove the folder, or choose another", path)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    load_params(path)


def world(folder: Path) -> None:
    """Frames, depth, the three networks that all students share, and the boxes of the frames without labels."""
    stage(folder, "scenes", "data/demo")
    stage(folder, "depth", "labelled")
    stage(folder, "depth", "unlabelled")
    for model in SHARED:
        stage(folder, model)
        stage(folder, "predict", model)
    for model in SHARED:  # against the control
        stage(folder, "evaluate", model)
    stage(folder, "label")


def student(folder: Path, shared: Path) -> None:
    """One student on the frames, boxes and start weights of one seed."""
    models = [f"models/{name}.safetensors" for name in ("teacher", "baseline")]
    for name in ("demo", "depth", "depth_unlabelled", "labels", "predictions/control", *models):
        link = folder / "data" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to((shared / "data" / name).resolve())
    stage(folder, "distill")
    stage(folder, "predict", "student")
    stage(folder, "evaluate", "student")


def stage(folder: Path, *words: str) -> None:
    """Run a stage of the pipeline in `folder` once; its output goes to a log.

    Raises:
        DataError: it failed.
    """
    done = folder / "done" / "-".join(words).replace("/", "-")
    if done.exists():
        return
    with (folder / "log.txt").open("a") as log:
        command = [sys.executable, str(ROOT / "stages" / f"{words[0]}.py"), *words[1:]]
        finished = subprocess.run(command, cwd=folder, env=environment(), stdout=log, stderr=log, check=False)
    if finished.returncode:
        raise DataError(f"stage {' '.join(words)} failed", folder / "log.txt")
    done.parent.mkdir(exist_ok=True)
    done.touch()
    print(f"{folder.name}: {' '.join(words)}", file=sys.stderr)


def values(folder: Path, name: str) -> dict[str, float]:
    """The headline numbers of one network."""
    model = name if name in SHARED else "student"
    numbers = summary(read_ap(folder / "metrics", [model]), [model])[model]["Car"]
    return {metric: value for metric, value in numbers.items() if value is not None}


if __name__ == "__main__":
    run(main)
