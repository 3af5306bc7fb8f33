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
from monokd.report.choice import REACH_M
from monokd.report.inputs import FramePicture, HeatMaps, ModelResult, check_names
from monokd.report.previous import Previous
from monokd.report.shown import Shown, show_frames
from monokd.report.styles import OTHER, SPARE, STYLES, TRUTH, Style, style_of
from monokd.report.tables import UNDEFINED, Cell, Metrics, Table

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

Charts = list[tuple[Chart, Markup]]


@dataclass(frozen=True, slots=True)
class Legend:
    """One entry of a legend."""

    css: str
    style: Style
    explained: str
    score: Cell

    @property
    def dashes(self) -> str:
        """SVG's stroke-dasharray."""
        return " ".join(map(str, self.style.dashes))


@dataclass(frozen=True, slots=True)
class ClassResults:
    """What the page says about one class; `headline` is None where no network has a result."""

    name: str
    headline: Table | None
    headline_charts: Charts
    differences: Table | None
    changes: Table | None
    precision_recall: Charts
    distances: Charts


def write_report(
    out: str | Path,
    *,
    title: str,
    models: Sequence[ModelResult],
    depth_metrics: Mapping[str, Any] | None = None,
    frames: Sequence[FramePicture] = (),
    heat_maps: HeatMaps | None = None,
    settings: Mapping[str, Any] | None = None,
    previous: Previous | None = None,
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
        heat_maps: makes the heat maps of the chosen frames; None leaves them out.
        settings: how the results were made, nested values.
        previous: earlier results to compare with.
        class_name: the class of the headline; the first one of the metrics where these do not have it.
        distilled: False for the control, which trains on like a student but without distillation.
        summary: losses over seeds (`summarize.to_table`).

    Raises:
        DataError: an input is unreadable or malformed, or two networks have one name.
    """
    out = Path(out)
    check_names([model.name for model in models])
    classes = tables.classes_of([model.metrics for model in models])
    class_name = class_name if class_name in classes or not classes else classes[0]
    classes.sort(key=lambda name: name != class_name)
    shown = show_frames(out.parent / out.stem, models, frames, class_name, heat_maps)
    text = _template().render(
        title=title,
        folder=quote(out.stem),
        summary=summary,
        **_look(models, class_name, distilled),
        **_scores(models, classes, previous),
        **_frames(shown),
        **_appendix(models, classes, depth_metrics, settings),
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
    paired = tables.difference_of(metrics["student"], "loose", class_name, "3d_R40")
    if paired is not None:
        ends = f"{tables.signed(paired['low'], 1)} to {tables.signed(paired['high'], 1)}"
        text += f" The 95 % interval of the difference is {ends} points."
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


def _look(models: Sequence[ModelResult], class_name: str, distilled: bool) -> dict[str, Any]:
    """The headline and how the networks look."""
    metrics = {model.name: model.metrics for model in models}
    return {
        "class_name": class_name,
        "loose_iou": tables.iou_of("loose", class_name),
        "finding": finding(metrics, class_name, distilled=distilled),
        "distilled": distilled,
        "legend": _legend(models, class_name, distilled),
        "truth": TRUTH,
        "styles": [*STYLES.items(), *((f"spare{i}", style) for i, style in enumerate(SPARE))],
    }


def _scores(models: Sequence[ModelResult], classes: Sequence[str], previous: Previous | None) -> dict[str, Any]:
    """Results, curves and what changed."""
    resamples = [int((model.metrics.get("bootstrap") or {}).get("resamples", 0)) for model in models]
    return {
        "results": [_class_results(models, name, previous) for name in classes],
        "rule": ", ".join(sorted({str(model.metrics["rule"]) for model in models if "rule" in model.metrics})),
        "resamples": max(resamples, default=0),
        "previous": previous,
        "settings_changes": tables.settings_changes(previous.settings) if previous else None,
    }


def _frames(shown: Shown) -> dict[str, Any]:
    thresholds = (shown.thresholds or {}).items()
    return {
        "shown": shown.frames,
        "others": OTHER if shown.others else None,
        "thresholds": [(style_of(name, i).label, score) for i, (name, score) in enumerate(thresholds)],
        "reach_m": REACH_M,
    }


def _appendix(
    models: Sequence[ModelResult],
    classes: Sequence[str],
    depth_metrics: Mapping[str, Any] | None,
    settings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Training, depth, all figures and settings."""
    return {
        "training": _training(models, weights=False),
        "weights": _training(models, weights=True),
        "depth": tables.depth_errors(depth_metrics) if depth_metrics else None,
        "details": [t for name in classes for m in models if (t := tables.detail(m.name, m.metrics, name))],
        "settings": tables.key_values("Settings", settings, ("Setting", "Value")) if settings else None,
        "made_with": _made_with(settings or {}, [model.metrics for model in models]),
    }


def _legend(models: Sequence[ModelResult], class_name: str, distilled: bool) -> list[Legend]:
    words = EXPLAINED if distilled else EXPLAINED | {"student": CONTROL}
    return [
        Legend(
            curves.css_name(model.name, position),
            style_of(model.name, position),
            words.get(model.name, ""),
            tables.score(model.metrics, "loose", class_name, "3d_R40"),
        )
        for position, model in enumerate(models)
    ]


def _made_with(settings: Mapping[str, Any], metrics: Sequence[Metrics]) -> list[tuple[str, str]]:
    """The few settings that stand under the title."""
    known = [(name, str(settings[name])) for name in ("profile", "loss", "seed", "behaviour") if name in settings]
    frames = max((int(mine.get("frames", 0)) for mine in metrics), default=0)
    return [*known, ("validation frames", str(frames))] if frames else known


def _class_results(models: Sequence[ModelResult], name: str, previous: Previous | None) -> ClassResults:
    metrics = {model.name: model.metrics for model in models}
    headline = tables.headline(metrics, class_name=name)
    empty = all(cell.text == UNDEFINED for row in headline.rows for cell in row[1:])
    curve_files = {model.name: curves.read_precision_recall(model.curves) for model in models if model.curves}
    band_files = {model.name: curves.read_distances(model.distances) for model in models if model.distances}
    return ClassResults(
        name,
        None if empty else headline,
        _drawn(curves.headline_charts(metrics, name)),
        tables.differences(metrics, class_name=name),
        tables.changes(metrics, previous.metrics, class_name=name) if previous else None,
        _drawn(curves.precision_recall_charts(curve_files, name)),
        _drawn(curves.distance_charts(band_files, name)),
    )


def _drawn(charts: Sequence[Chart]) -> Charts:
    return [(chart, Markup(to_svg(chart))) for chart in charts]


def _training(models: Sequence[ModelResult], *, weights: bool) -> Charts:
    histories = {model.name: curves.read_history(model.history) for model in models if model.history is not None}
    return _drawn(curves.training_charts(histories, weights=weights))
