"""Fill the tables of README.md and docs/*.md from the files in metrics. Usage: python docs/make_tables.py

A page holds `<!-- table:NAME -->` and `<!-- /table -->`; what stands between them is written here and checked by
tests/test_tables.py. A table whose file is missing says so.

metrics/study.json: {"runs": [{"table": "arms", "arm": "control", "seed": 0, "3d_loose": 27.9, …}, …]}. Every run is one
student's moderate AP|R40 of Car by the names of metrics/summary.json; arms of a table are compared by seed with the arm
`control`, the share of the ceiling with the arm `labels`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from monokd.files import read_json
from monokd.report.networks import CONTROL, NETWORKS, STUDENT, style_of
from monokd.report.results import read_ap
from monokd.report.summary import finding, read_spread, spread_note

ROOT = Path(__file__).resolve().parents[1]
METRICS = ROOT / "metrics"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKED = re.compile(r"(<!-- table:(\S+) -->\n).*?(<!-- /table -->)", flags=re.DOTALL)
HEADS = {
    "3d_loose": "3D, IoU 0.5",
    "bev_loose": "BEV, IoU 0.5",
    "3d_strict": "3D, IoU 0.7",
    "bev_strict": "BEV, IoU 0.7",
}
LEARNS = {
    "teacher": "sees dense depth",
    "baseline": "camera, labels",
    CONTROL: "camera, labels, as long as the student",
    STUDENT: "camera, labels, teacher",
}
CEILING = "labels"
QUALITY = {
    "frames": "frames",
    "keep_score": "least score",
    "ignore_score": "of uncertain ones",
    "boxes_a_frame": "boxes a frame",
    "precision": "right, %",
    "recall": "labels found, %",
    "median_depth_error_m": "median depth error, m",
    "flipped_headings": "turned round, %",
}
# Two-sided 95 % of Student's t by degrees of freedom.
T_95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
MISSING = "(No such results yet.)\n"
SENTENCES = ("finding", "spread")
"""Left out where their file is missing."""
Numbers = Mapping[str, float | None]


def filled(text: str, metrics: Path = METRICS) -> str:
    """A page's text with every marked table written anew."""
    return MARKED.sub(lambda found: f"{found[1]}{table(found[2], metrics)}{found[3]}", text)


def table(name: str, metrics: Path = METRICS) -> str:
    """What stands at a marker: `summary`, `finding`, `spread`, `seeds`, `labels`, or `study:TABLE`."""
    known: dict[str, tuple[str, Callable[[Path], str]]] = {
        "summary": ("summary.json", summary_table),
        "finding": ("student/ap.csv", finding_text),
        "spread": ("spread.json", lambda folder: spread_note(read_spread(folder)) + "\n"),
        "seeds": ("losses.json", seeds_table),
        "labels": ("labels.json", labels_table),
    }
    kind, _, which = name.partition(":")
    file, make = ("study.json", partial(study_table, which)) if kind == "study" else known[name]
    if (metrics / file).exists():
        return make(metrics)
    return "" if name in SENTENCES else MISSING


def summary_table(metrics: Path) -> str:
    """The four networks, and the student's difference to the control."""
    results: dict[str, dict[str, Numbers]] = read_json(metrics / "summary.json")
    cars: dict[str, Numbers] = {name: results.get(name, {}).get("Car", {}) for name in NETWORKS}
    rows = [[f"{style_of(n).label} ({LEARNS[n]})", *(_ap(cars[n].get(key)) for key in HEADS)] for n in NETWORKS]
    change = [_signed(_minus(cars[STUDENT].get(key), cars[CONTROL].get(key))) for key in HEADS]
    return _markdown(["Car, moderate, AP\\|R40", *HEADS.values()], [*rows, ["**Student − control**", *change]])


def finding_text(metrics: Path) -> str:
    """The headline in sentences, with the interval over the frames."""
    networks = [name for name in NETWORKS if (metrics / name / "ap.csv").exists()]
    return (finding(read_ap(metrics, networks), "Car") if CONTROL in networks else "").strip() + "\n"


def labels_table(metrics: Path) -> str:
    """How good the boxes are that stand for labels."""
    figures = read_json(metrics / "labels.json")
    known = {name: figures[key] for key, name in QUALITY.items() if isinstance(figures.get(key), int | float)}
    whole = {name: f"{value:,}" if isinstance(value, int) else f"{value:.3g}" for name, value in known.items()}
    return _markdown(["Whose boxes", *whole], [[str(figures.get("boxes", "–")), *whole.values()]])


def seeds_table(metrics: Path) -> str:
    """What benchmarks/losses.py --out wrote: mean and spread over seeds, and paired differences to the control."""
    entries = read_json(metrics / "losses.json")
    names = list(dict.fromkeys(str(entry["loss"]) for entry in entries))
    cells = {(entry["loss"], entry["value"]): entry for entry in entries}
    rows = [[name, *(_spread(cells.get((name, key)), "mean", "spread") for key in HEADS)] for name in names]
    differences = [
        [f"{name} − control", *(_spread(cells.get((name, key)), "difference", "difference_spread") for key in HEADS)]
        for name in names
        if not name.startswith("(") and any(cells.get((name, key), {}).get("difference") is not None for key in HEADS)
    ]
    return _markdown(["Mean ± standard deviation over seeds", *HEADS.values()], rows + differences)


def study_table(which: str, metrics: Path) -> str:
    """Arms of the study: mean, paired difference to the control with its 95 % interval, share of the ceiling."""
    runs = [run for run in read_json(metrics / "study.json")["runs"] if run["table"] == which]
    if not runs:
        return MISSING
    arms = list(dict.fromkeys(str(run["arm"]) for run in runs))
    by_seed = {arm: {run["seed"]: run for run in runs if run["arm"] == arm} for arm in arms}
    rows = []
    for arm in arms:
        row = [arm, str(len(by_seed[arm]))]
        for key in HEADS:
            pairs = [
                (run.get(key), by_seed.get(CONTROL, {}).get(seed, {}).get(key)) for seed, run in by_seed[arm].items()
            ]
            values = [value for value, _ in pairs if value is not None]
            row.append(_ap(mean(values) if values else None) + ("" if arm == CONTROL else _change(pairs)))
        rows.append([*row, _share(arm, by_seed)])
    heads = ["Arm", "Seeds", *(f"{head} (− control)" for head in HEADS.values()), "Share of the ceiling, 3D, 0.5"]
    return _markdown(heads, rows)


def _change(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """Mean paired difference and half its 95 % interval, in brackets."""
    differences = [value - control for value, control in pairs if value is not None and control is not None]
    if not differences:
        return ""
    n = len(differences)
    half = f" ± {T_95.get(n - 1, 1.96) * stdev(differences) / math.sqrt(n):.1f}" if n > 1 else ""
    return f" ({_signed(mean(differences))}{half})"


def _share(arm: str, by_seed: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> str:
    """How much of the way from the control to true labels an arm goes, over the seeds that all three have."""
    control, ceiling, key = by_seed.get(CONTROL, {}), by_seed.get(CEILING, {}), "3d_loose"
    seeds = [seed for seed in by_seed[arm] if seed in control and seed in ceiling]
    if arm == CONTROL or not seeds:
        return "–"
    whole = sum(ceiling[seed][key] - control[seed][key] for seed in seeds)
    return f"{sum(by_seed[arm][seed][key] - control[seed][key] for seed in seeds) / whole:.2f}" if whole > 0 else "–"


def _spread(entry: Mapping[str, Any] | None, value: str, spread: str) -> str:
    if entry is None or entry.get(value) is None:
        return "–"
    text = _ap(entry[value]) if value == "mean" else _signed(entry[value])
    return text if entry.get(spread) is None else f"{text} ± {entry[spread]:.2f}"


def _ap(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{'−' if round(value, 2) < 0 else '+'}{abs(value):.2f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in (heads, ruler, *rows)) + "\n"


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
