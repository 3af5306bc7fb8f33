"""The report: one HTML page and its pictures beside it, readable offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monokd.files import write_text
from monokd.report import charts, tables
from monokd.report.frames_to_show import REACH_M
from monokd.report.networks import EXPLAINED, STYLES, TRUTH, UNPREDICTED, css_name, style_of
from monokd.report.pictures import FramePictures, FrameSource, MatchedFrames, draw_frames, match_frames, truth_layers
from monokd.report.previous import Previous
from monokd.report.results import Results, headline_ap
from monokd.report.summary import finding, spread_note

UNDISTILLED = "sees the camera image only. No term of the distillation has a weight: it is trained like the control."


@dataclass(frozen=True, slots=True)
class Background:
    """What else the page tells; each part is left out where it is empty."""

    settings: Mapping[str, Any] = field(default_factory=dict)  # how the results were made, nested
    training_data: str = ""  # in a few words
    distilled: bool = True  # whether the student was
    depth: Mapping[str, Any] = field(default_factory=dict)  # metrics/depth.json
    label_quality: Mapping[str, Any] = field(default_factory=dict)  # metrics/labels.json
    resamples: int = 0  # of the intervals
    spread: Mapping[str, Any] = field(default_factory=dict)  # metrics/spread.json


def write_report(
    out: str | Path,
    *,
    title: str,
    results: Results,
    frames: FrameSource | None = None,
    background: Background | None = None,
    previous: Previous | None = None,
    class_name: str = "Car",
) -> None:
    """Write the page `out`, its pictures into the folder of the same name without suffix.

    Args:
        out: the HTML file.
        title: of the page.
        results: of the networks; the last one is what the page is about.
        frames: all evaluated frames; some are chosen and drawn.
        background: what else to tell.
        previous: earlier results to compare with.
        class_name: the class of the headline; the first one of the results where these do not have it.

    Raises:
        DataError: a file of a frame is unreadable or malformed.
    """
    out, background = Path(out), background or Background()
    classes = results.classes
    class_name = class_name if class_name in classes or not classes else classes[0]
    classes.sort(key=lambda name: name != class_name)
    loader = PackageLoader("monokd.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["urlquote"] = quote
    text = environment.get_template("page.html").render(
        title=title,
        folder=quote(out.stem),
        background=background,
        **_head(results, class_name, background),
        **_figures(results, classes, previous),
        **_frames(out.parent / out.stem, results, frames, class_name),
        **_tables(results, classes, background),
    )
    write_text(out, text)


def _head(results: Results, class_name: str, background: Background) -> dict[str, Any]:
    """The headline, what the networks are and how they look."""
    explained = EXPLAINED if background.distilled else EXPLAINED | {"student": UNDISTILLED}
    figures = headline_ap(results.ap, class_name, results.networks)
    made = {name: str(background.settings.get(name, "")) for name in ("profile", "loss", "seed", "behaviour")}
    made |= {"trained on": background.training_data, "evaluated frames": str(results.frames or "")}
    return {
        "class_name": class_name,
        "loose_iou": tables.iou_of("loose", class_name),
        "finding": finding(results.ap, class_name, distilled=background.distilled),
        "legend": [
            {"css": css_name(name), "style": style_of(name), "explained": explained.get(name, "")}
            | {"score": tables.ap_cell(figures[name, "loose", "3d"])}
            for name in results.networks
        ],
        "truth": TRUTH,
        "styles": STYLES,
        "rule": results.rule,
        "made_with": {name: value for name, value in made.items() if value},
    }


def _figures(results: Results, classes: Sequence[str], previous: Previous | None) -> dict[str, Any]:
    """Results, curves and what changed."""
    ap, networks = results.ap, results.networks
    return {
        "results": [
            {
                "name": name,
                "headline": tables.headline(ap, name, networks),
                "charts": _drawn(charts.headline_charts(results, name)),
                "differences": tables.differences(ap, name, networks),
                "changes": tables.changes(ap, previous.metrics, name, networks) if previous else None,
                "precision_recall": _drawn(charts.precision_recall_charts(results, name)),
                "distances": _drawn(charts.distance_charts(results, name)),
            }
            for name in classes
        ],
        "previous": previous,
        "settings_changes": tables.settings_changes(previous.settings) if previous else None,
        "training": _drawn(charts.training_charts(results)),
        "weights": _drawn(charts.training_charts(results, weights=True)),
    }


def _frames(folder: Path, results: Results, source: FrameSource | None, class_name: str) -> dict[str, Any]:
    """The frames and what is said about them."""
    frames: list[FramePictures] = []
    matched = MatchedFrames({}, {}, {}, {}, class_name, set())
    if source is not None and results.predictions is not None and source.ids:
        matched = match_frames(results, source, class_name)
        frames = draw_frames(folder, matched, source)
    shown = [truth_layers(matched.truths[item.frame], matched.predicted) for item in frames]
    return {
        "frames": frames,
        "unpredicted": UNPREDICTED if any(len(layers) > 1 for layers in shown) else None,
        "thresholds": {style_of(name).label: score for name, score in matched.thresholds.items()},
        "reach_m": REACH_M,
    }


def _tables(results: Results, classes: Sequence[str], background: Background) -> dict[str, Any]:
    """Depth, the teacher's boxes, all figures and settings."""
    quality = background.label_quality
    return {
        "spread": spread_note(background.spread),
        "depth": tables.depth_errors(background.depth) if background.depth else None,
        "label_quality": tables.key_values("The teacher's boxes as labels", quality) if quality else None,
        "details": [table for name in classes for table in tables.details(results.ap, name, results.networks)],
        "settings": tables.key_values("Settings", background.settings, ("Setting", "Value")),
    }


def _drawn(items: Sequence[charts.Chart]) -> list[tuple[charts.Chart, Markup]]:
    return [(chart, Markup(charts.to_svg(chart))) for chart in items]
