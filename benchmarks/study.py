"""Does distillation help, by how much, and against which control? Arms × seeds on the demo's world.

    python benchmarks/study.py FOLDER                     every arm, five seeds
    python benchmarks/study.py FOLDER --table curve       by the number of labelled frames
    python benchmarks/study.py FOLDER --table settings    thresholds, weights by score, share of the batch, headings
    python benchmarks/study.py FOLDER --table weights     each distillation term alone, over two decades
    python benchmarks/study.py FOLDER --seeds             only collect the figures that stand in FOLDER

For every seed (of the training and of the world alike) one folder below FOLDER gets its own frames, teacher, baseline
and boxes, which all tables share; only the curve trains a teacher and a baseline for each number of frames. Every arm
starts from the baseline and takes the same optimiser steps. A figure that stands already is not made again, so a study
that was stopped goes on; other seeds may run at the same time. Written is one JSON of runs (table, arm, seed, figures),
from which docs/make_tables.py makes the pages' tables: means, and paired differences to the control with 95 %
intervals.
"""

import argparse
import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from statistics import stdev
from typing import Any

import yaml
from measure import ROOT, environment

from monokd.files import read_json, write_json, write_text

Arms = dict[str, dict[str, Any]]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
METHODS = ("monodistill", "monoskd", "monoasd")
STUDENT = "teacher's boxes + monoskd"  # the arm that is the demo's own student
LABELLED = {"profiles.demo.data.unlabelled_split": ""}
FRAMES, UNLABELLED = "profiles.demo.scenes.train_frames", "profiles.demo.unlabelled"
BOXES = f"{UNLABELLED}.boxes"
TEACHERS: Arms = {"teacher's boxes": {"loss": "none"}}
ARMS: Arms = {
    "control": {},
    **{f"{method}, labelled": LABELLED | {"loss": method} for method in METHODS},
    **TEACHERS,
    **{f"{method}, features": {BOXES: "none", "loss": method} for method in METHODS},
    **{f"teacher's boxes + {method}": {"loss": method} for method in METHODS},
    "baseline's boxes": {BOXES: "baseline", "loss": "none"},
    "labels": {BOXES: "labels", "loss": "none"},
}
"""Parameters of each arm over the demo's; the control is a stage of its own."""
SETTINGS: Arms = {  # of `unlabelled`, each varied alone
    "scores from 0.15, uncertain from 0.1": {"keep_score": 0.15, "ignore_score": 0.1},
    "scores from 0.25, uncertain from 0.15": {"keep_score": 0.25, "ignore_score": 0.15},
    "weights by score": {"score_weights": True},
    "half of the batch": {"share": 0.5},
    "the whole batch": {"share": 1.0},
    "full headings": {"headings": "full"},
}
FACTORS, LABELLED_FRAMES = (0.1, 1, 10), (16, 40, 80, 160, 320)
FIGURES = {
    f"{metric}_{iou_set}": (iou_set, f"{metric}_R40") for metric in ("3d", "bev") for iou_set in ("loose", "strict")
}


def weights_arms() -> Arms:
    """One distillation term each, at its method's weight times a factor, on labelled frames and beside boxes."""
    losses, arms = PARAMS["losses"], {}
    for term in losses["none"]:
        weight = max(weights[term] for weights in losses.values())
        for factor in FACTORS:
            params = {"losses.single": losses["none"] | {term: factor * weight}, "loss": "single"}
            arms[f"{term} × {factor}, labelled"] = LABELLED | params
            arms[f"teacher's boxes + {term} × {factor}"] = params
    return arms


TABLES: dict[str, Arms] = {
    "arms": ARMS,
    "curve": {name: ARMS[name] for name in ("control", STUDENT)},
    "settings": {"control": {}, **TEACHERS}
    | {
        f"teacher's boxes, {name}": {"loss": "none"} | {f"{UNLABELLED}.{key}": value for key, value in changes.items()}
        for name, changes in SETTINGS.items()
    },
    "weights": {"control": {}, **TEACHERS, **weights_arms()},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", default="arms", choices=tuple(TABLES))
    parser.add_argument("--out", type=Path, default=ROOT / "metrics/study.json")
    parser.add_argument("--seeds", type=int, nargs="*", help="default: 0 to 4 for the arms, 0 to 2 for the others")
    parser.add_argument("--arms", nargs="+", help="some of the table's, by name")
    parser.add_argument(
        "--labelled", type=int, nargs="+", default=LABELLED_FRAMES, choices=LABELLED_FRAMES, help="of the curve"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of params.yaml, for all arms")
    args = parser.parse_args()
    arms = args.arms or list(TABLES[args.table])
    if unknown := [arm for arm in arms if arm not in TABLES[args.table]]:
        parser.error(f"--arms: expected some of {', '.join(TABLES[args.table])}, found {unknown[0]}")
    common = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in args.set)}
    seeds = range(5 if args.table == "arms" else 3) if args.seeds is None else args.seeds
    for seed in seeds:
        for frames, place in places(args.folder, args.table, args.labelled).items():
            folder = place / f"seed{seed}"
            params = {FRAMES: frames, **common, "seed": seed, "data_seed": seed}
            prepare(folder, params)
            for arm in arms:
                run_arm(folder, arm, params | TABLES[args.table][arm])
    write_study(args.folder, args.out, args.table)


def places(folder: Path, table: str, labelled: Sequence[int] = LABELLED_FRAMES) -> dict[int, Path]:
    """Folders of the seeds by the number of labelled frames."""
    usual = PARAMS["profiles"]["demo"]["scenes"]["train_frames"]
    numbers = labelled if table == "curve" else (usual,)
    return {frames: folder if frames == usual else folder / f"labelled{frames}" for frames in numbers}


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
    own = folder / "runs" / arm
    shutil.rmtree(own, ignore_errors=True)
    workspace(own, params)
    for name in ("demo", "depth", "depth_unlabelled"):
        (own / "data" / name).symlink_to((folder / "data" / name).resolve())
    shutil.copytree(folder / "data/models", own / "data/models")
    if arm != "control":
        run_stage(own, "label")
        shutil.copy(own / "metrics/labels.json", folder / f"{arm} labels.json")
    run_stage(own, "control" if arm == "control" else "distill")
    score(own, "control" if arm == "control" else "student", figures)
    shutil.rmtree(own)


def workspace(folder: Path, params: Mapping[str, Any]) -> None:
    """Write params.yaml with some values replaced."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(params), sort_keys=False))


def changed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of params.yaml with the values of some dotted keys replaced."""
    tree: dict[str, Any] = copy.deepcopy(PARAMS)
    for dotted, value in params.items():
        *parents, last = dotted.split(".")
        reduce(dict.__getitem__, parents, tree)[last] = value
    return tree


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a script of stages/ in `folder`."""
    command = [sys.executable, str(ROOT / "stages" / f"{stage}.py"), *arguments]
    subprocess.run(command, cwd=folder, env=environment(), check=True)


def score(folder: Path, network: str, out: Path) -> None:
    """Predict and evaluate one network, and write Car's moderate figures."""
    run_stage(folder, "predict", network)
    command = [sys.executable, "-m", "monokd.cli", "evaluate", "data/demo/training/label_2"]
    command += [f"data/predictions/{network}", "--split", "data/demo/ImageSets/val.txt", "--classes", "Car", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    write_json(out, {name: found[s]["Car"][key]["moderate"] for name, (s, key) in FIGURES.items()})


def write_study(folder: Path, out: Path, table: str) -> None:
    """Collect what stands in the folders of all seeds; runs of other tables stay."""
    runs = [run for run in read_json(out)["runs"] if run["table"] != table] if out.exists() else []
    for arm in ("teacher", "baseline", *TABLES[table]):
        for frames, place in places(folder, table).items():
            for ready in sorted(place.glob("seed*/ready")):
                run = {"table": table, "arm": arm, "seed": int(ready.parent.name.removeprefix("seed"))}
                run |= {"labelled": frames} if table == "curve" else {}
                figures = ready.parent / f"{arm}.json"
                runs += [run | read_json(figures)] if figures.exists() else []
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)
    write_text(out, f'{{"runs": [\n{lines}\n]}}\n')
    seeds = [run for run in runs if run["table"] == "arms" and run["arm"] == STUDENT]
    if len(seeds) > 1:  # what a run of one's own may differ by
        spread = {key: stdev(run[key] for run in seeds) for key in FIGURES}
        write_json(out.with_name("spread.json"), {"seed_std": spread})


if __name__ == "__main__":
    main()
