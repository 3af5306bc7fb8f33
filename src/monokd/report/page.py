"""The report: one HTML page and its pictures beside it, readable offline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from monokd.files import write_text
from monokd.report import charts, tables
from monokd.report.frames import REACH_M, PageFrames, draw_frames, match_frames
from monokd.report.networks import NETWORKS, STYLES, TRUTH, UNPREDICTED, box_source, explain, style_of
from monokd.report.previous import Previous
from monokd.report.results import Results, classes_of, headline_ap
from monokd.report.summary import finding, spread_note


@dataclass(frozen=True, slots=True)
class Background:
    """What else the page tells."""

    settings: Mapping[str, Any]  # how the results were made, nested
    training_data: str  # in a few words
    distilled: bool  # whether a term of the distillation has a weight
    depth: Mapping[str, Any]  # metrics/depth.json, without errors where the user gave the depth
    label_quality: Mapping[str, Any]  # metrics/labels.json, empty without such labels
    resamples: int  # of the intervals
    spread: Mapping[str, Any] = field(default_factory=dict)  # metrics/spread.json


def write_report(
    out: Path, title: str, results: Results, frames: PageFrames, background: Background, previous: Previous | None
) -> None:
    """Write the page `out`, its pictures into the folder of the same name without suffix.

    The headline is of cars, or else of the first class; some of the evaluated `frames` are chosen and drawn. DataError
    where a file of a frame is broken.
    """
    ap, networks, classes = results.ap, results.networks, classes_of(results.ap)
    matched = match_frames(results, frames, classes[0])
    drawn = draw_frames(out.parent / out.stem, matched, frames)
    figures = headline_ap(ap, classes[0], networks)
    scores = {name: tables.ap_cell(figures[name, "loose", "3d"]) for name in networks}
    quality, source = background.label_quality, box_source(background.label_quality)
    explained = explain(source, distilled=background.distilled)
    made = {name: background.settings[name] for name in ("profile", "loss", "seed", "behaviour")}
    made |= {"trained on": background.training_data, "evaluated frames": results.frames}
    environment = Environment(loader=PackageLoader("monokd.report", "."), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"svg": charts.to_svg, "urlquote": quote}
    text = environment.get_template("page.html").render(
        title=title,
        folder=quote(out.stem),
        class_name=classes[0],
        loose_iou=tables.iou_of("loose", classes[0]),
        finding=finding(ap, classes[0], distilled=bool(background.distilled or source)),
        legend=[{"name": n, "style": STYLES[n], "explained": explained[n], "score": scores[n]} for n in networks],
        styles={name: STYLES[name] for name in NETWORKS},
        made_with=made,
        rule=results.rule,
        resamples=background.resamples,
        results=[
            {
                "name": name,
                "headline": tables.headline(ap, name, networks),
                "charts": list(charts.headline_charts(results, name)),
                "differences": tables.differences(ap, name, networks),
                "changes": tables.changes(ap, previous.metrics, name, networks) if previous else None,
                "precision_recall": list(charts.precision_recall_charts(results, name)),
                "distances": list(charts.distance_charts(results, name)),
            }
            for name in classes
        ],
        previous=previous,
        settings_changes=tables.settings_changes(previous.settings if previous else ()),
        spread=spread_note(background.spread),
        frames=drawn,
        truth=TRUTH,
        unpredicted=UNPREDICTED if any(item.unpredicted for item in drawn) else None,
        thresholds={style_of(name).label: score for name, score in matched.thresholds.items()},
        reach_m=REACH_M,
        training=charts.training_charts(results),
        weights=list(charts.training_charts(results, weights=True)),
        depth=tables.depth_errors(background.depth) if "bands" in background.depth else None,
        label_quality=tables.key_values(f"As labels: {source}", quality) if source else None,
        box_source=source,
        details=[table for name in classes for table in tables.details(ap, name, networks)],
        settings=tables.key_values("Settings", background.settings, ("Setting", "Value")),
    )
    write_text(out, text)
