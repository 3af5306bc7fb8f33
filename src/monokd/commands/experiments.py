"""The experiments of a DVC repository as runs that can be compared: same parameters but for one key and the seed."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from monokd.errors import DataError
from monokd.report.networks import CONTROL, STUDENT
from monokd.report.tables import flatten

PARAMS, METRICS = "params.yaml", "metrics/summary.json"
# How to compute and what to log, not what is trained: these may differ between runs that are compared.
IGNORED = ("accelerator", "channels_last", "compile", "workers", "cache_images", "save_minutes", "evaluate_every")
ABSENT = "absent"
RUN_COLUMNS = ["class", "metric", "value", "seed", "result", "control"]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of `dvc exp show`."""

    name: str  # as DVC calls it; `workspace`, or a branch or commit
    created: str  # time stamp, "" in the workspace
    params: Mapping[str, Any]  # dotted name → value, all of params.yaml
    metrics: Mapping[str, Any]  # of metrics/summary.json, without what is null; empty where there are none
    problem: str  # why it has no results; "" where it has


@dataclass(frozen=True, slots=True)
class Selection:
    """The runs that are compared."""

    runs: pd.DataFrame  # one row a result; `value` is the key's, `control` what the result is compared with, or NaN
    left_out: list[tuple[str, str]]  # name of each other experiment and why it is left out
    control: str  # what they are compared with: the model control of the same run, or a value of the key


def read_experiments(root: Path, revisions: tuple[str, ...] = (), *, all_commits: bool = False) -> list[Experiment]:
    """Read the commit at hand, then the workspace and every experiment of `revisions` (default HEAD).

    By asking `dvc exp show`: `dvc.api.exp_show` would leave out time stamps and why an experiment failed. DataError
    where there is no DVC repository, or DVC cannot read it.
    """
    options = ["--all-commits"] if all_commits else [word for revision in revisions for word in ("--rev", revision)]
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataError(f"dvc exp show: {lines[-1] if lines else 'failed'}", root)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    found = [_experiment(row, None) for row in rows]
    for row in rows:
        found += [_experiment(entry["revs"][0], entry["executor"]) for entry in row["experiments"] or []]
    workspace = [replace(e, problem=e.problem or _stale(e, root)) for e in found if e.name == "workspace"]
    commits = [e for e in found if e.name != "workspace"]
    if not commits:
        raise DataError("expected a commit, found none", root)
    return [commits[0], *workspace, *commits[1:]]


def select_runs(
    experiments: list[Experiment], *, by: str = "loss", model: str = STUDENT, control: str | None = None
) -> Selection:
    """Choose the experiments that differ from the first only in `by` and the seed.

    Parameters of profiles and losses that a run does not use are not compared. Of two runs of the same value and seed
    with different results, the newer one counts. The default control of a student is its own run's, of other models
    `none` of losses or the first one's value. DataError where `by` is no dotted parameter of the first experiment.
    """
    reference = experiments[0]
    if by not in reference.params or by == "seed":
        raise DataError(f"--by: expected a parameter of {PARAMS}, seed apart, found {by!r}")
    own = control is None and model == STUDENT
    first = control or ("none" if by == "loss" else str(reference.params[by]))
    chosen: dict[tuple[str, int], Experiment] = {}
    left_out: list[tuple[str, str]] = []
    for each in sorted(experiments, key=lambda e: e.created or "9999"):  # the workspace is the newest
        absent = [f"no {name} in {PARAMS}" for name in (by, "seed") if name not in each.params]
        reason = each.problem or _difference(each, reference, by) or "".join(absent[:1])
        if not reason and model not in each.metrics:
            reason = f"no figures of {model} in {METRICS}: absent, or every one is null"
        if reason:
            left_out.append((each.name, reason))
            continue
        key = str(each.params[by]), int(each.params["seed"])
        older = chosen.get(key)
        if older is not None and older.metrics[model] != each.metrics[model]:
            left_out.append((older.name, f"{by} {key[0]}, seed {key[1]} again in {each.name}, which is newer"))
        chosen[key] = each
    rows: list[tuple[str | int | float, ...]] = []
    for (value, seed), each in sorted(chosen.items(), key=lambda item: (item[0][0] != first, item[0])):
        other = each if own else chosen.get((first, seed)) if value != first else None
        paired = dict(flatten(other.metrics.get(CONTROL if own else model, {}) if other else {}))
        for name, result in flatten(each.metrics[model]):
            rows.append((*name.rsplit(".", 1), value, seed, result, paired.get(name, float("nan"))))
    return Selection(pd.DataFrame(rows, columns=RUN_COLUMNS), left_out, CONTROL if own else first)


def _experiment(row: Mapping[str, Any], executor: Mapping[str, Any] | None) -> Experiment:
    data = row["data"] or {}
    params, metrics = _content(data, "params", PARAMS), _content(data, "metrics", METRICS)
    state, problem = (executor or {}).get("state"), ""
    if row["error"]:
        problem = f"failed: {row['error'].get('msg', '')}".strip()
    elif state in ("queued", "running", "failed"):
        problem = state
    elif not params or metrics is None:
        problem = f"no {METRICS if params else PARAMS}"
    name, created = str(row["name"] or row["rev"]), data.get("timestamp") or ""
    return Experiment(name, created, dict(flatten(params or {})), metrics or {}, problem)


def _content(data: Mapping[str, Any], kind: str, path: str) -> dict[str, Any] | None:
    """What DVC read from a file; None where it could not. DVC leaves out what is null."""
    file = (data.get(kind) or {}).get(path)
    return None if file is None or "error" in file else file.get("data") or {}


def _stale(workspace: Experiment, root: Path) -> str:
    """Which parameter has changed since the workspace's results were made, as a reason; "" where none has."""
    try:
        lock = YAML(typ="safe").load(root / "dvc.lock")
        locked = dict(flatten(lock["stages"]["report"]["params"][PARAMS]))
    except (OSError, YAMLError, KeyError, TypeError):
        return ""
    changed = [name for name, value in locked.items() if workspace.params.get(name, ABSENT) != value]
    return f"{changed[0]} has changed since the last dvc repro" if changed else ""


def _difference(each: Experiment, reference: Experiment, by: str) -> str:
    """The first parameter in which a run differs beyond `by` and the seed, as a reason; "" without one."""
    # A loss that the reference's file lacks is the run's own.
    known = any(name.startswith(f"losses.{each.params.get('loss')}.") for name in reference.params)
    for name in dict.fromkeys([*_used(each), *_used(reference)]):
        if name in (by, "seed") or (by == "loss" and not known and name.startswith("losses.")):
            continue
        mine, theirs = each.params.get(name, ABSENT), reference.params.get(name, ABSENT)
        if mine != theirs:
            return f"{name} is {mine}, not {theirs}"
    return ""


def _used(each: Experiment) -> Iterator[str]:
    """The parameters that matter to a run: of its own loss and profile, and none of how to compute."""
    own = f"losses.{each.params.get('loss')}.", f"profiles.{each.params.get('profile')}."
    for name in each.params:
        foreign = name.startswith(("losses.", "profiles.")) and not name.startswith(own)
        if not (foreign or name == "launch" or name.rpartition(".")[2] in IGNORED):
            yield name
