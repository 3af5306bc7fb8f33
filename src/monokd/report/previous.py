"""What stood in the repository before: the newest committed results that differ from the present ones."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monokd.files import read_json
from monokd.report.tables import flatten

Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Previous:
    """Committed results."""

    commit: str  # the first eight digits of its hash
    date: str  # YYYY-MM-DD
    subject: str  # first line of its message
    metrics: Mapping[str, Metrics]  # network → its parsed kitti.json, of those that the commit has
    settings: tuple[tuple[str, Any, Any], ...] = ()  # (name, before, now) of those that differ, None where unknown


def find_previous(files: Mapping[str, Path], params: Path) -> Previous | None:
    """Find the newest commit whose results (network → its kitti.json) differ from those in `files`, in one profile.

    That is HEAD where the results are not committed yet, and else the last commit with other results: the answer is
    the same before the results are committed, after, and in any clone with its history. Only first parents count, so
    that a merge of other people's results is no step of one's own. None without git, or without such a commit.
    """
    current = {name: read_json(path) for name, path in files.items()}
    now = yaml.safe_load(params.read_text(encoding="utf-8"))
    log = _git("log", "--first-parent", "--format=%H%x09%cs%x09%s", "--", *map(str, files.values())) or ""
    for commit, date, subject in (line.split("\t", 2) for line in log.splitlines()):
        metrics, before = committed_metrics(commit, files), _committed(commit, params, yaml.safe_load)
        differ = any(tree != current[name] for name, tree in metrics.items())
        if differ and before is not None and before.get("profile") == now.get("profile"):
            old, new = _in_force(before), _in_force(now)
            names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            settings = tuple((name, old.get(name), new.get(name)) for name in names)
            return Previous(commit[:8], date, subject, metrics, settings)
    return None


def committed_metrics(revision: str, files: Mapping[str, Path]) -> dict[str, Metrics]:
    """Read each network's kitti.json in a commit, without those that are not there or no JSON."""
    trees = {name: _committed(revision, path, json.loads) for name, path in files.items()}
    return {name: tree for name, tree in trees.items() if tree is not None}


def _in_force(params: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted names, those of other profiles and losses left out; the loss's own are `weights.TERM`."""
    loss, profile = params.get("loss"), params.get("profile")
    chosen = {key: value for key, value in params.items() if key not in ("losses", "profiles")}
    chosen["weights"] = params.get("losses", {}).get(loss, {})
    chosen["profiles"] = {profile: params.get("profiles", {}).get(profile, {})}
    return dict(flatten(chosen))


def _committed(revision: str, path: Path, parse: Callable[[str], Any]) -> Metrics | None:
    """A mapping in a file of a commit; None where it is not there or does not parse."""
    try:
        tree = parse(_git("show", f"{revision}:./{path.as_posix()}") or "")
    except (ValueError, yaml.YAMLError):
        return None
    return tree if isinstance(tree, dict) else None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError:  # no git
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
