"""The few numbers that runs are compared by, and the results in the terminal: python -m monokd.report.summary"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from monokd.errors import DataError, printable, run
from monokd.files import read_json
from monokd.params import load_params
from monokd.report.networks import CONTROL, NETWORKS, STUDENT, box_source
from monokd.report.previous import committed_metrics
from monokd.report.results import LEVEL, classes_of, headline_ap, read_ap
from monokd.report.tables import METRIC_NAMES, changes, differences, headline, iou_of, signed, to_rich

FOLDER = Path("metrics")
GAIN = "gain"
SPREADS = {
    "seed_std": "trainings from different seeds differ by (standard deviation)",
    "threads": "one seed on different numbers of threads differs by",
}


def summary(ap: pd.DataFrame, networks: Sequence[str]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Collect moderate AP|R40 in percent by network, class and `METRIC_IOU` (3d_loose, bev_strict and so on).

    What the student has beyond its control stands beside the networks, as `gain`.
    """
    result: dict[str, dict[str, dict[str, float | None]]] = {name: {} for name in networks}
    for class_name in ap["class"].unique():
        for (network, iou, metric), figure in headline_ap(ap, class_name, networks).items():
            values = result[network].setdefault(class_name, {})
            values[f"{metric}_{iou}"] = None if math.isnan(figure.ap) else figure.ap
    own, control = result.get(STUDENT, {}), result.get(CONTROL, {})
    for class_name in (name for name in own if name in control):
        pairs = ((key, value, control[class_name][key]) for key, value in own[class_name].items())
        gain = {key: None if a is None or b is None else a - b for key, a, b in pairs}
        result.setdefault(GAIN, {})[class_name] = gain
    return result


def finding(ap: pd.DataFrame, class_name: str, *, distilled: bool = True) -> str:
    """Say the headline in a few sentences (AP|R40, 3D, moderate, loose IoU); empty without student or control."""
    figures = headline_ap(ap, class_name, NETWORKS)
    student, control, teacher = (figures[name, "loose", "3d"].ap for name in (STUDENT, CONTROL, "teacher"))
    change, gap = student - control, teacher - control
    if math.isnan(change):
        return ""
    *_, low, high = figures[STUDENT, "loose", "3d"]
    undecided = low <= 0 <= high
    who = "The student" if distilled else "The student, here trained without distillation like the control,"
    text = (
        f"{who} reaches {student:.2f} % ({class_name}, 3D, {LEVEL}, IoU {iou_of('loose', class_name)}), "
        f"{abs(change):.2f} points {'more' if change >= 0 else 'less'} than the control ({control:.2f} %), which "
        "trained for as long on the labels alone."
    )
    if not math.isnan(low):
        text += f" The 95 % interval of the difference is {signed(low, 1)} to {signed(high, 1)} points"
        text += ", which includes 0: these frames do not decide which of the two is better." if undecided else "."
    if math.isnan(teacher):
        return text
    text += f" The teacher, with depth as its input, reaches {teacher:.2f} %"
    if distilled and gap > 0 and change > 0 and not undecided:
        text += f": the student closes {100 * change / gap:.0f} % of the gap between control and teacher"
    return f"{text}."


def spread_note(spread: Mapping[str, Any]) -> str:
    """Say how far equal trainings differ (metrics/spread.json: kind → result → points)."""
    kinds = []
    for kind, values in spread.items():
        known = []
        for name, value in values.items():
            metric, recalls = name.split("_")
            known.append(f"{METRIC_NAMES[metric]} {recalls} {value:.1f}")
        kinds.append(f"{SPREADS[kind]} {', '.join(known)} points")
    return f"For comparison: {'; '.join(kinds)}." if kinds else ""


def read_metrics(name: str) -> dict[str, Any]:
    """Read metrics/NAME.json, empty where there is none."""
    path = FOLDER / f"{name}.json"
    return dict(read_json(path)) if path.exists() else {}


def main() -> None:
    """Print the results in `metrics`, class by class, and how they differ from the committed ones."""
    networks = [name for name in NETWORKS if (FOLDER / name / "ap.csv").exists()]
    if not networks:
        raise DataError("expected results, found none; `make repro` makes them", FOLDER)
    ap, console = read_ap(FOLDER, networks), Console(highlight=False)
    files = {name: FOLDER / name / "kitti.json" for name in networks}
    committed = committed_metrics("HEAD", files)
    same = all(read_json(files[name]) == tree for name, tree in committed.items())
    classes, distilled = classes_of(ap), bool(load_params().term_weights() or box_source(read_metrics("labels")))
    for class_name in classes:
        for table in (headline(ap, class_name, networks), differences(ap, class_name, networks)):
            if table is not None:
                console.print(to_rich(table))
        if not same:
            console.print(to_rich(changes(ap, committed, class_name, networks)))
    notes = [finding(ap, class_name, distilled=distilled) for class_name in classes[:1]]
    if committed and same:
        notes.append("These are the figures of the last commit.")
    elif committed:
        notes.append("Changes are against the last commit; bold ones lie outside the 95 % interval of today's figure.")
        notes.append(spread_note(read_metrics("spread")))
    for note in filter(None, notes):
        console.print(printable(note), markup=False)


if __name__ == "__main__":
    run(main)
