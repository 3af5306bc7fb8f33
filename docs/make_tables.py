"""Fill the tables of README.md and docs/*.md from the files in metrics. Usage: python docs/make_tables.py

A page holds `<!-- table:NAME -->` and `<!-- /table -->`; what stands between them is written here and checked by
tests/test_tables.py. A table whose file is missing says so.

metrics/study.json, by benchmarks/study.py: {"runs": [{"table": "arms", "arm": "control", "seed": 0, "3d_loose": 27.9,
…}, …]}. Every run is one network's moderate AP|R40 of Car by the names of metrics/summary.json; arms of a table are
compared by seed with the arm `control`, those with the teacher's boxes also with these alone, the share of the ceiling
with the arm `labels`. Runs of the curve have a number of `labelled` frames too, and are compared with the control of as
many.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from scipy import stats

from monokd.files import read_json
from monokd.report.networks import CONTROL, NETWORKS, STUDENT, style_of
from monokd.report.results import read_ap
from monokd.report.summary import finding, spread_note

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
    "held_out_labels": "chosen on so many labels",
    "boxes_a_frame": "boxes a frame",
    "precision": "right, %",
    "recall": "labels found, %",
    "median_depth_error_m": "median depth error, m",
    "flipped_headings": "turned round, %",
}
MISSING = "(No such results yet.)\n"
LEFT_OUT = ("finding", "spread", "gain", "losses", "picture")
"""Where their file is missing."""
METHODS = ("monodistill", "monoskd", "monoasd")
BOXES = "teacher's boxes"
GAIN = (f"{BOXES} + monoskd", CONTROL)
LOSS_ARMS = [CONTROL, *(f"{name}, labelled" for name in METHODS), BOXES, *(f"{BOXES} + {name}" for name in METHODS)]
PICTURE = """\
![Dots of each seed and the mean of each arm, 3D and BEV at IoU 0.5](pictures/study.png)

*A dot is a seed, a bar the mean of the arm, the dashed line the control's mean.*
"""
Numbers = Mapping[str, float | None]
Run = Mapping[str, Any]


def filled(text: str, metrics: Path = METRICS) -> str:
    """A page's text with every marked table written anew."""
    return MARKED.sub(lambda found: f"{found[1]}{table(found[2], metrics)}{found[3]}", text)


def table(name: str, metrics: Path = METRICS) -> str:
    """What stands at a marker: `summary`, `finding`, `spread`, `labels`, `gain`, `losses`, `picture`, `study:TABLE`."""
    kind, _, which = name.partition(":")
    known: dict[str, tuple[str, Callable[[Path], str]]] = {
        "summary": ("summary.json", summary_table),
        "finding": ("student/ap.csv", finding_text),
        "spread": ("spread.json", lambda folder: spread_note(read_json(folder / "spread.json")) + "\n"),
        "labels": ("labels.json", labels_table),
        "study": ("study.json", partial(study_table, which, ())),
        "gain": ("study.json", gain_text),
        "losses": ("study.json", partial(study_table, "arms", LOSS_ARMS)),
        "picture": ("study.json", lambda folder: PICTURE if study_runs("arms", folder) else ""),
    }
    file, make = known[kind]
    text = make(metrics) if (metrics / file).exists() else ""
    return text or ("" if name in LEFT_OUT else MISSING)


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


def study_runs(which: str, metrics: Path) -> list[Run]:
    """The runs of one of the study's tables."""
    return [run for run in read_json(metrics / "study.json")["runs"] if run["table"] == which]


def study_table(which: str, only: Sequence[str], metrics: Path) -> str:
    """Arms of the study: mean, paired difference to the control with its 95 % interval, share of the ceiling."""
    arms: dict[tuple[int, str], dict[int, Run]] = {}
    for run in study_runs(which, metrics):
        if not only or run["arm"] in only:
            arms.setdefault((run.get("labelled", 0), run["arm"]), {})[run["seed"]] = run
    rows = []
    for (labelled, name), own in sorted(arms.items(), key=lambda item: item[0][0]):
        control, ceiling = arms.get((labelled, CONTROL), {}), arms.get((labelled, CEILING))
        row = {"Labelled frames": str(labelled)} if labelled else {}
        row |= {"Arm": name, "Seeds": str(len(own))}
        compared = {} if name == CONTROL else control
        row |= {f"{head} (− control)": _mean_and_change(own, compared, key) for key, head in HEADS.items()}
        row |= {"Share of the ceiling, 3D, 0.5": _share(own, compared, ceiling)} if ceiling else {}
        if boxes := arms.get((labelled, BOXES)):
            change = _change(own, boxes, "3d_loose") if name.startswith(BOXES) and own is not boxes else ""
            row["− teacher's boxes, 3D, 0.5"] = change or "–"
        rows.append(row)
    return _markdown(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""


def gain_text(metrics: Path) -> str:
    """The demo's student against its control over the seeds of the study, in a sentence."""
    arms = {arm: {run["seed"]: run for run in study_runs("arms", metrics) if run["arm"] == arm} for arm in GAIN}
    student, control = (arms[arm] for arm in GAIN)
    seeds = student.keys() & control.keys()
    if len(seeds) < 2:
        return ""
    above = sum(all((student[seed][key] or 0) > (control[seed][key] or 0) for key in HEADS) for seed in seeds)
    gains = [f"{head}: {_change(student, control, key)}" for key, head in HEADS.items()]
    return (
        f"In {above} of {len(seeds)} seeds, each with a world, a teacher and a baseline of its own, the student is "
        "above its control at all four figures. Mean paired difference at equal steps, with its 95 % interval, "
        f"in points: {'; '.join(gains)}.\n"
    )


def _mean_and_change(own: Mapping[int, Run], control: Mapping[int, Run], key: str) -> str:
    """Mean over seeds; in brackets the paired change, if there is one."""
    values = [run[key] for run in own.values() if run.get(key) is not None]
    change = _change(own, control, key)
    return _ap(mean(values) if values else None) + (f" ({change})" if change else "")


def _change(own: Mapping[int, Run], control: Mapping[int, Run], key: str) -> str:
    """The mean paired difference and half its 95 % interval, by Student's t."""
    seeds = [seed for seed in own if None not in (own[seed].get(key), control.get(seed, {}).get(key))]
    if not seeds:
        return ""
    differences = [own[seed][key] - control[seed][key] for seed in seeds]
    half = f" ± {stats.t.ppf(0.975, len(seeds) - 1) * stats.sem(differences):.1f}" if len(seeds) > 1 else ""
    return _signed(mean(differences)) + half


def _share(own: Mapping[int, Run], control: Mapping[int, Run], ceiling: Mapping[int, Run]) -> str:
    """How much of the way from the control to true labels an arm goes, over the seeds that all three have."""
    key, seeds = "3d_loose", own.keys() & control.keys() & ceiling.keys()
    gained, whole = (sum(arm[seed][key] - control[seed][key] for seed in seeds) for arm in (own, ceiling))
    return f"{gained / whole:.2f}".replace("-", "−") if whole > 0 else "–"


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
