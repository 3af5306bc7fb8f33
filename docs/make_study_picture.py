"""Draw docs/pictures/study.png from metrics/study.json. Usage: python docs/make_study_picture.py

One panel each for 3D and BEV at IoU 0.5: a dot a seed, a bar the mean of an arm. Below, where there is a curve, the
same by the number of labelled frames. Kinds of arms differ in hue, lightness and marker.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monokd.files import read_json
from monokd.report.networks import CONTROL, STUDENT, TRUTH, Style, style_of

ROOT = Path(__file__).resolve().parents[1]
STUDY, PICTURE = ROOT / "metrics/study.json", ROOT / "docs/pictures/study.png"
PANELS = {"3d_loose": "3D, IoU 0.5", "bev_loose": "BEV, IoU 0.5"}
WIDTH_IN, DPI = 7.0, 200  # shown at 700 px
SETTINGS: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#dddddd", "axes.edgecolor": "#999999", "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip


def draw(runs: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw the arms, and the curve where there are runs of it."""
    table = pd.DataFrame(runs)
    arms, curve = (table[table["table"] == name] for name in ("arms", "curve"))
    heights = [0.5 + 0.19 * arms["arm"].nunique(), *([2.2] if len(curve) else [])]
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.3), dpi=DPI, layout="constrained")
        panels = figure.subplots(len(heights), 2, squeeze=False, height_ratios=heights)
        for column, (key, title) in enumerate(PANELS.items()):
            draw_arms(panels[0, column], arms, key, names=column == 0)
            panels[0, column].set_title(title, loc="left", fontweight="bold")
            if len(curve):
                draw_curve(panels[1, column], curve, key)
        if len(curve):
            figure.legend(*panels[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(out, metadata={"Software": ""})


def draw_arms(axes: Axes, arms: pd.DataFrame, key: str, *, names: bool) -> None:
    """A row an arm, in the study's order from the top."""
    groups = {str(name): rows[key].dropna() for name, rows in arms.groupby("arm", sort=False)}
    for row, (name, values) in enumerate(groups.items()):
        style = look(name)
        axes.plot(values, [row] * len(values), style.marker, color=style.on_light, markersize=4, alpha=0.6, mew=0)
        axes.vlines(values.mean(), row - 0.38, row + 0.38, colors=style.on_light, linewidth=2.5)
    if CONTROL in groups:
        axes.axvline(groups[CONTROL].mean(), color=style_of(CONTROL).on_light, linestyle=(0, (4, 3)), linewidth=1)
    axes.set_yticks(range(len(groups)), list(groups) if names else [""] * len(groups))
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlabel("AP|R40 of Car, moderate, %")


def draw_curve(axes: Axes, curve: pd.DataFrame, key: str) -> None:
    """A line of means over the number of labelled frames for each arm."""
    for name, rows in curve.groupby("arm", sort=False):
        style, means = look(str(name)), rows.groupby("labelled")[key].mean()
        dashes = (0, tuple(length / 3 for length in style.dashes)) if style.dashes else "-"
        axes.plot(rows["labelled"], rows[key], style.marker, color=style.on_light, markersize=4, alpha=0.6, mew=0)
        axes.plot(means.index, means, color=style.on_light, linestyle=dashes, label=str(name))
    axes.set_xscale("log", base=2)
    numbers = sorted(curve["labelled"].unique())
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("labelled frames")
    axes.set_ylabel("AP|R40, %")


def look(arm: str) -> Style:
    """That of the network an arm stands for; methods without the teacher's boxes share the spare one."""
    if arm == "labels":
        return TRUTH
    return style_of(STUDENT if arm.startswith("teacher's boxes") else "baseline" if arm == "baseline's boxes" else arm)


if __name__ == "__main__":
    if not STUDY.exists():
        sys.exit("make_study_picture: needs metrics/study.json, which benchmarks/study.py writes")
    draw(read_json(STUDY)["runs"], PICTURE)
