"""The page: complete, offline, accessible, safe against names in files, the same for the same inputs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import pytest

from monokd.errors import DataError
from monokd.evaluation.bootstrap import compare
from monokd.evaluation.distance import by_distance, write_distances
from monokd.evaluation.evaluate import evaluate_folders
from monokd.evaluation.output import Report, report_json, write_curves
from monokd.report.inputs import FramePicture, ModelResult
from monokd.report.page import finding, write_report
from monokd.report.previous import Previous
from monokd.report.styles import OTHER
from monokd.report.tables import key_values
from tests.report.fakes import heat_maps, write_frames, write_models

VOID = {"meta", "link", "img", "br", "line", "path", "use", "circle", "rect"}


class Page(HTMLParser):
    """Collects elements and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[FramePicture], list[ModelResult]]:
    folder = tmp_path_factory.mktemp("inputs")
    frames, truths = write_frames(folder / "frames")
    return frames, write_models(folder / "models", truths)


PREVIOUS = Previous(
    "0123abcd",
    "2026-01-31",
    "Try <b>more</b>",
    {name: {"loose": {"Car": {"3d_R40": {"moderate": 20.0}}}} for name in ("teacher", "baseline", "student")},
    (("losses.monoskd.affinity", 1.0, 2.0),),
)


def write(out: Path, inputs: tuple[list[FramePicture], list[ModelResult]], **changed: Any) -> str:
    frames, models = inputs
    given: dict[str, Any] = {
        "title": "test data",
        "models": models,
        "frames": frames,
        "depth_metrics": {"rmse_m": 1.0, "mae_m": 0.5},
        "settings": {"loss": "monoskd"},
        "heat_maps": heat_maps,
        "previous": PREVIOUS,
    }
    write_report(out, **(given | changed))
    return out.read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, inputs: tuple[list[FramePicture], list[ModelResult]]) -> Path:
    out = tmp_path_factory.mktemp("page")
    write(out / "report.html", inputs)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


SECTIONS = ("results", "changes", "frames", "curves", "training", "depth", "all")


def test_every_section_is_there(page: Page) -> None:
    heads = {attributes["id"] for attributes in page.all("h2")}
    assert heads == {f"{name}-head" for name in SECTIONS}


def test_links_in_the_page_lead_somewhere(page: Page, folder: Path) -> None:
    ids = {attributes.get("id") for _, attributes in page.elements}
    for attributes in page.all("a"):
        target = attributes["href"] or ""
        assert target[1:] in ids if target.startswith("#") else (folder / target).is_file()


def test_pictures_exist_with_size_and_words(page: Page, folder: Path) -> None:
    pictures = page.all("img")
    frame = 3 + 3 + 2  # photographs, heat maps, depth and the view from above
    assert len(pictures) == 4 * frame
    for attributes in pictures:
        image = cv2.imread(str(folder / str(attributes["src"])))
        assert image is not None
        assert [str(image.shape[1]), str(image.shape[0])] == [attributes["width"], attributes["height"]]
        assert len(attributes["alt"] or "") > 20


def test_every_file_beside_the_page_is_used(page: Page, folder: Path) -> None:
    used = {str(attributes["src"]) for attributes in page.all("img")}
    assert {f"report/{path.name}" for path in (folder / "report").iterdir()} == used


def test_nothing_comes_from_a_network_and_nothing_runs(folder: Path, page: Page) -> None:
    text = (folder / "report.html").read_text()
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//|url\(|@import", re.sub(r"url\(#[^)]*\)", "", text))
    assert not page.all("script")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_table_heads_have_a_scope(page: Page) -> None:
    heads = page.all("th")
    assert len(heads) > 20
    assert {attributes.get("scope") for attributes in heads} == {"col", "row", "colgroup"}
    assert len(page.all("caption")) == len(page.all("table"))


def test_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_headings_skip_no_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_charts_have_words(page: Page) -> None:
    charts = [attributes for attributes in page.all("svg") if attributes.get("aria-hidden") != "true"]
    assert len(charts) > 8
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in charts)


def test_same_inputs_give_the_same_bytes(
    tmp_path: Path, folder: Path, inputs: tuple[list[FramePicture], list[ModelResult]]
) -> None:
    write(tmp_path / "report.html", inputs)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert again == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_names_from_files_are_text(tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]) -> None:
    """Class, network, setting and column names cannot become elements."""
    bad = "<script>alert(1)</script>\"'&"
    history = tmp_path / "history.csv"
    history.write_text('epoch,"<script>alert(1)</script>""\'&",<b>\n1,2,3\n2,1,3\n')
    figures = {"strict": {bad: {"3d_R40": {"moderate": 1.0}}}, "loose": {bad: {bad: {"moderate": 1.0}}}}
    models = [*inputs[1], ModelResult(bad, figures, history, predictions=inputs[1][0].predictions)]
    text = write(
        tmp_path / "out.html",
        inputs,
        models=models[2:],
        frames=inputs[0][:2],
        title=bad,
        settings={bad: bad},
        depth_metrics={bad: bad},
    )
    page = Page(text)
    assert not page.all("script")
    assert not page.all("b")
    assert bad in "".join(page.text)


def test_odd_file_names_still_lead_to_the_pictures(
    tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]
) -> None:
    models = [replace(inputs[1][2], history=None, curves=None)]
    page = Page(write(tmp_path / "my report #1 ü%.html", inputs, models=models, frames=inputs[0][:2]))
    assert page.all("img")
    for attributes in page.all("img"):
        assert (tmp_path / unquote(str(attributes["src"]))).is_file()


def test_page_of_figures_alone(tmp_path: Path) -> None:
    """Without frames, curves, history, depth and settings the page holds the table and no empty section."""
    figures = {"frames": 3, "rule": "le", "loose": {"Car": {"3d_R40": {"moderate": 1.5}}}, "strict": {}}
    write_report(tmp_path / "r.html", title="t", models=[ModelResult("student", figures)])
    page = Page((tmp_path / "r.html").read_text())
    assert {attributes["id"] for attributes in page.all("h2")} == {"results-head", "all-head"}
    assert "1.50" in "".join(page.text)
    assert not (tmp_path / "r").exists()


def test_networks_need_different_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x' 2 times"):
        write_report(tmp_path / "r.html", title="t", models=[ModelResult("x", {}), ModelResult("x", {})])


def test_missing_predictions_are_named(tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]) -> None:
    lost = replace(inputs[1][0], predictions=tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere: expected a folder with predictions of teacher"):
        write(tmp_path / "r.html", inputs, models=[lost])


def test_frames_without_result_files_count_as_empty(
    tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]
) -> None:
    (tmp_path / "none").mkdir()
    text = write(tmp_path / "r.html", inputs, models=[replace(inputs[1][2], predictions=tmp_path / "none")])
    assert re.search(r"Student: 0 of \d found", text)


def test_what_changed_stands_with_its_commit_and_settings(page: Page) -> None:
    text = "".join(page.text)
    assert "0123abcd of 2026-01-31, “Try <b>more</b>”" in text
    assert "was 20.00" in text
    assert "losses.monoskd.affinity" in text


def test_without_other_settings_the_page_says_where_a_change_comes_from(tmp_path: Path) -> None:
    previous = replace(PREVIOUS, settings=())
    write_report(tmp_path / "r.html", title="t", models=[ModelResult("student", {})], previous=previous)
    assert "No setting differs" in (tmp_path / "r.html").read_text()


def test_three_classes_and_one_that_nobody_detects(tmp_path: Path) -> None:
    """Every class has its part, Car first though listed second; a class without any result is named as such."""
    classes = ("Pedestrian", "Car", "Cyclist")
    models = write_models(tmp_path / "models", write_frames(tmp_path / "frames", 1)[1], classes=classes)
    for model in models:
        for name in ("strict", "loose"):
            figures: dict[str, Any] = model.metrics[name]["Cyclist"]
            figures |= {metric: dict.fromkeys(levels) for metric, levels in figures.items()}
    models = [replace(model, history=None) for model in models]
    write_report(tmp_path / "r.html", title="t", models=models, previous=PREVIOUS)
    page = Page((tmp_path / "r.html").read_text())
    text = "".join(page.text)
    assert text.index("Car, moderate: AP|R40") < text.index("Pedestrian, moderate: AP|R40")
    assert "No result: no network detects a Cyclist." in text
    assert "AP in percent for Car" in text.replace("average precision (AP|R40)", "AP")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_no_detections_at_all_still_make_a_page(tmp_path: Path) -> None:
    """All figures undefined, all result files empty, nothing found: frames are shown, no chart is."""
    frames, truths = write_frames(tmp_path / "frames", 2)
    models = write_models(tmp_path / "models", truths)[2:]
    for path in (tmp_path / "models/student").glob("*.txt"):
        path.write_text("")
    empty = {"strict": {"Car": {"3d_R40": {"moderate": None}}}, "loose": {"Car": {"3d_R40": {"moderate": None}}}}
    models = [replace(model, metrics=empty, curves=None, distances=None, history=None) for model in models]
    write_report(tmp_path / "r.html", title="t", models=models, frames=frames)
    page = Page((tmp_path / "r.html").read_text())
    assert "No result: no network detects a Car." in "".join(page.text)
    assert OTHER.label not in "".join(page.text)  # all labels are cars, which is what the page is about
    assert page.all("img")
    assert not [a for a in page.all("svg") if a.get("role") == "img"]


def loose(student: float | None, baseline: float | None, teacher: float | None) -> dict[str, Any]:
    values = {"student": student, "baseline": baseline, "teacher": teacher}
    return {name: {"loose": {"Car": {"3d_R40": {"moderate": value}}}} for name, value in values.items()}


def test_finding_says_what_the_figures_say() -> None:
    """A gain, a loss, and a teacher that is no better each get a true sentence."""
    gain = finding(loose(15.0, 10.0, 30.0), "Car")
    assert "5.00 points more than the baseline (10.00 %)" in gain
    assert "closes 25 % of the gap" in gain
    worse = finding(loose(9.0, 10.0, 30.0), "Car")
    assert "1.00 points less than the baseline" in worse
    assert "closes" not in worse
    assert "closes" not in finding(loose(15.0, 10.0, 10.0), "Car")
    assert finding(loose(None, 10.0, 30.0), "Car") == ""
    paired = {"difference": {"loose": {"Car": {"3d_R40": {"moderate": {"value": 5.0, "low": -0.25, "high": 9.04}}}}}}
    told = loose(15.0, 10.0, None)
    told["student"] |= paired
    assert finding(told, "Car").endswith("The 95 % interval of the difference is −0.2 to +9.0 points.")


def test_the_control_is_called_what_it_is(tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]) -> None:
    """Without distillation the page claims none, and no gap is closed by it."""
    summary = key_values("Losses over seeds", {"none": 1.0})
    models = [replace(model, history=None, curves=None) for model in inputs[1]]
    text = write(tmp_path / "r.html", inputs, models=models, frames=[], distilled=False, summary=summary)
    assert "is the control here" in text
    assert "distilled student reaches" not in text
    assert "closes" not in finding(loose(15.0, 10.0, 30.0), "Car", distilled=False)
    assert "Losses over seeds" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *, header *")].filter(e => !e.closest(".scroll, svg") &&
    e.getBoundingClientRect().right > innerWidth + 0.5).length;
  const lost = [...document.images].filter(i => !i.naturalWidth).length;
  const far = performance.getEntriesByType("resource").filter(r => !/^(file|data):/.test(r.name)).length;
  const paper = getComputedStyle(document.body).backgroundColor;
  parent.postMessage(`width ${innerWidth} page ${document.documentElement.scrollWidth} wide ${wide} lost ${lost} ` +
    `far ${far} paper ${paper}`, "*");
})</script>"""
FRAMES = """<title></title><script>const said = []; addEventListener("message", e => {
  said.push(e.data); document.title = said.sort().join("; "); })</script>
<iframe src="report.html" width="400" height="20000"></iframe>
<iframe src="report.html" width="1280" height="9000"></iframe>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH")
@pytest.mark.parametrize(
    ("scheme", "paper"), ((1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")), ids=("light", "dark")
)
def test_in_a_browser_nothing_overflows_fails_or_leaves_the_disk(
    folder: Path, tmp_path: Path, scheme: int, paper: str
) -> None:
    """Narrow and wide, from a file: every picture shows, nothing is wider than the page, the console stays empty.

    The probe script is added to a copy; the page stands in frames, because a window has a least width.
    """
    shutil.copytree(folder / "report", tmp_path / "report")
    text = (folder / "report.html").read_text().replace('loading="lazy"', "").replace("<details>", "<details open>")
    (tmp_path / "report.html").write_text(text.replace("</body>", f"{PROBE}</body>"))
    (tmp_path / "frames.html").write_text(FRAMES)
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--window-size=1800,4000", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    options += [f"--blink-settings=preferredColorScheme={scheme}", "--enable-logging=stderr"]
    address = (tmp_path / "frames.html").as_uri()
    done = subprocess.run([str(CHROMIUM), *options, address], capture_output=True, text=True, timeout=300, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    clean = f"wide 0 lost 0 far 0 paper {paper}"
    assert title[1] == f"width 1280 page 1280 {clean}; width 400 page 400 {clean}"
    assert ":CONSOLE" not in done.stderr


def test_what_evaluation_writes_is_what_the_page_reads(
    tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]
) -> None:
    """Figures, intervals, differences and curves of a real evaluation appear on the page."""
    label, predictions = inputs[0][0].label, {model.name: model.predictions for model in inputs[1]}
    assert label is not None
    student, baseline = (evaluate_folders(label.parent, predictions[n] or tmp_path) for n in ("student", "baseline"))
    ranges, compared = compare(student, baseline, 20, 0)
    report = Report(student, 20, 0, ranges, "some/predictions/baseline", compared)
    write_curves(tmp_path / "pr.csv", student)
    bands = by_distance(label.parent, predictions["student"] or tmp_path, student.frames, "le", ("Car",), resamples=20)
    write_distances(tmp_path / "distance.csv", bands)
    figures = json.loads(json.dumps(report_json(report)))
    model = ModelResult("student", figures, None, tmp_path / "pr.csv", tmp_path / "distance.csv")
    write_report(tmp_path / "r.html", title="t", models=[model])
    text = (tmp_path / "r.html").read_text()
    assert f"{student.ap(('loose', 'Car', 'bev_R40', 'moderate')):.2f}" in text
    assert "Intervals come from 20 bootstrap resamples" in text
    assert "Student − Baseline" in text
    assert "AP|R40 by distance, Car" in text
    assert 'id="curves-head"' in text
