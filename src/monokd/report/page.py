"""The report: one HTML page and its pictures beside it, readable offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from monokd.files import write_text
from monokd.report import curves, tables
from monokd.report.charts import Chart, to_svg
from monokd.report.choice import REACH_M, found_by_distance
from monokd.report.inputs import FramePicture, ModelResult, check_names
from monokd.report.shown import Shown, show_frames
from monokd.report.styles import OTHER, SPARE, STYLES, TRUTH, Style, style_of
from monokd.report.tables import Metrics, Table

BANDS_M = (0.0, 10.0, 20.0, 30.0, 40.0, 60.0)
EXPLAINED = {
    "teacher": "sees the dense depth of the scene, made from a laser scanner, instead of the camera image. "
    "It cannot be used where there is only a camera; it shows what the same network reaches when distance is given.",
    "baseline": "sees the camera image only and is trained on the labels alone.",
    "student": "sees the camera image only, like the baseline from which it starts; while it trains it also learns "
    "to imitate the teacher (distillation). In use it needs the camera alone.",
}
CONTROL = (
    "is the control here: it starts from the baseline and trains on for as long as a distilled student, without the "
    "teacher."
)


@dataclass(frozen=True, slots=True)
class Legend:
    """One entry of a legend."""

    css: str
    style: Style
    explained: str = ""

    @property
    def dashes(self) -> str:
        """SVG's stroke-dasharray."""
        return " ".join(map(str, self.style.dashes))


def write_report(
    out: str | Path,
    *,
    title: str,
    models: Sequence[ModelResult],
    depth_metrics: Mapping[str, Any] | None = None,
    frames: Sequence[FramePicture] = (),
    settings: Mapping[str, Any] | None = None,
    class_name: str = "Car",
    distilled: bool = True,
    summary: Table | None = None,
) -> None:
    """Write the page `out`, its pictures into the folder of the same name without suffix.

    Args:
        out: the HTML file.
        title: of the page.
        models: networks in the order of the tables; the last one is what the page is about, the one called `baseline`
            (else the first) what it is compared with.
        depth_metrics: quality of the dense depth, nested values.
        frames: all evaluated frames; some are chosen and shown.
        settings: how the results were made, nested values.
        class_name: the class of the headline; the first one of the metrics where these do not have it.
        distilled: False for the control, which trains on like a student but without distillation.
        summary: losses over seeds (`summarize.to_table`).

    Raises:
        DataError: an input is unreadable or malformed, or two networks have one name.
    """
    out = Path(out)
    check_names([model.name for model in models])
    metrics = {model.name: model.metrics for model in models}
    classes = tables.classes_of(list(metrics.values()))
    class_name = class_name if class_name in classes or not classes else classes[0]
    shown = show_frames(out.parent / out.stem, models, frames, class_name)
    text = _template().render(
        title=title,
        folder=quote(out.stem),
        class_name=class_name,
        finding=finding(metrics, class_name, distilled=distilled),
        distilled=distilled,
        summary=summary,
        legend=_legend(models, distilled),
        truth=TRUTH,
        styles=[*STYLES.items(), *((f"spare{i}", style) for i, style in enumerate(SPARE))],
        headline=tables.headline(metrics, class_name=class_name),
        rule=_rule(metrics),
        frame_count=max((int(m.get("frames", 0)) for m in metrics.values()), default=0),
        resamples=max((int((m.get("bootstrap") or {}).get("resamples", 0)) for m in metrics.values()), default=0),
        differences=[t for n, m in metrics.items() if (t := tables.differences(n, m, class_name=class_name))],
        headline_charts=_drawn(curves.headline_charts(metrics, class_name)),
        changes=_changes(models, class_name),
        shown=shown.frames,
        others=OTHER if shown.others else None,
        thresholds=[(style_of(n, i).label, t) for i, (n, t) in enumerate((shown.thresholds or {}).items())],
        reach_m=REACH_M,
        precision_recall=_precision_recall(models, class_name),
        distance_charts=_drawn(_distance_charts(shown, class_name)),
        training=_training(models, weights=False),
        weights=_training(models, weights=True),
        depth=tables.depth_errors(depth_metrics) if depth_metrics else None,
        details=[t for name in classes for m in models if (t := tables.detail(m.name, m.metrics, name))],
        settings=tables.key_values("Settings", settings, ("Setting", "Value")) if settings else None,
    )
    write_text(out, text)


def finding(metrics: Mapping[str, Metrics], class_name: str, *, distilled: bool = True) -> str:
    """The headline in one or two sentences (AP|R40, 3D, moderate, loose threshold); empty where it is undefined."""
    values = {name: tables.value_of(mine, "loose", class_name, "3d_R40") for name, mine in metrics.items()}
    student, baseline, teacher = (values.get(name) for name in ("student", "baseline", "teacher"))
    if student is None or baseline is None:
        return ""
    change = student - baseline
    verb = "more" if change >= 0 else "less"
    who = "The distilled student" if distilled else "The control, trained on without distillation,"
    text = (
        f"{who} reaches {student:.2f} % ({class_name}, 3D, moderate, IoU "
        f"{tables.iou_of('loose', class_name)}), {abs(change):.2f} points {verb} than the baseline ({baseline:.2f} %)."
    )
    if teacher is None:
        return text
    gap = teacher - baseline
    text += f" The teacher, with depth as its input, reaches {teacher:.2f} %"
    if distilled and gap > 0 and change > 0:
        return f"{text}: the student closes {100 * change / gap:.0f} % of the gap between camera and depth."
    return f"{text}."


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("monokd.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["urlquote"] = quote
    return environment.get_template("page.html")


def _legend(models: Sequence[ModelResult], distilled: bool) -> list[Legend]:
    words = EXPLAINED if distilled else EXPLAINED | {"student": CONTROL}
    return [
        Legend(curves.css_name(m.name, i), style_of(m.name, i), words.get(m.name, "")) for i, m in enumerate(models)
    ]


def _rule(metrics: Mapping[str, Metrics]) -> str:
    rules = {str(mine["rule"]) for mine in metrics.values() if "rule" in mine}
    return ", ".join(sorted(rules))


def _changes(models: Sequence[ModelResult], class_name: str) -> Table | None:
    previous = {model.name: model.previous for model in models if model.previous}
    if not previous:
        return None
    return tables.changes({model.name: model.metrics for model in models}, previous, class_name=class_name)


def _drawn(charts: Sequence[Chart]) -> list[tuple[Chart, Markup]]:
    return [(chart, Markup(to_svg(chart))) for chart in charts]


def _precision_recall(models: Sequence[ModelResult], class_name: str) -> list[tuple[Chart, Markup]]:
    mine = {model.name: curves.read_precision_recall(model.curves) for model in models if model.curves is not None}
    return _drawn(curves.precision_recall_charts(mine, class_name))


def _training(models: Sequence[ModelResult], *, weights: bool) -> list[tuple[Chart, Markup]]:
    histories = {model.name: curves.read_history(model.history) for model in models if model.history is not None}
    return _drawn(curves.training_charts(histories, weights=weights))


def _distance_charts(shown: Shown, class_name: str) -> list[Chart]:
    if shown.matches is None or shown.thresholds is None:
        return []
    found = {
        name: found_by_distance(list(mine.values()), shown.thresholds[name], BANDS_M)
        for name, mine in shown.matches.items()
    }
    return curves.distance_charts(found, BANDS_M, class_name)
