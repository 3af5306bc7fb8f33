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
from monokd.evaluation.evaluate import evaluate_folders
from monokd.evaluation.output import Report, report_json, write_curves
from monokd.report.inputs import FramePicture, ModelResult
from monokd.report.page import finding, write_report
from monokd.report.summarize import Run, summarize, to_table
from tests.report.fakes import write_frames, write_models

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


def write(out: Path, inputs: tuple[list[FramePicture], list[ModelResult]], **changed: Any) -> str:
    frames, models = inputs
    given: dict[str, Any] = {
        "title": "test data",
        "models": models,
        "frames": frames,
        "depth_metrics": {"rmse_m": 1.0, "mae_m": 0.5},
        "settings": {"loss": "monoskd"},
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


def test_every_section_is_there(page: Page) -> None:
    heads = {attributes["id"] for attributes in page.all("h2")}
    assert heads == {f"{name}-head" for name in ("results", "frames", "curves", "training", "depth", "all")}


def test_links_in_the_page_lead_somewhere(page: Page, folder: Path) -> None:
    ids = {attributes.get("id") for _, attributes in page.elements}
    for attributes in page.all("a"):
        target = attributes["href"] or ""
        assert target[1:] in ids if target.startswith("#") else (folder / target).is_file()


def test_pictures_exist_with_size_and_words(page: Page, folder: Path) -> None:
    pictures = page.all("img")
    assert len(pictures) >= 4 * 5
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
    models = [*inputs[1], ModelResult(bad, figures, history, None, inputs[1][0].predictions)]
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
    assert "Found: Student 0." in text


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


def test_the_control_is_called_what_it_is(tmp_path: Path, inputs: tuple[list[FramePicture], list[ModelResult]]) -> None:
    """Without distillation the page claims none, and no gap is closed by it."""
    summary = to_table(summarize([Run("none", 0, {"ap": 1.0}), Run("monoskd", 0, {"ap": 2.0})]))
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
  parent.postMessage(`width ${innerWidth} page ${document.documentElement.scrollWidth} wide ${wide} lost ${lost}`, "*");
})</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH")
@pytest.mark.parametrize("width", (400, 1280))
def test_in_a_browser_nothing_overflows_and_every_picture_shows(folder: Path, tmp_path: Path, width: int) -> None:
    """From a file, without a network, narrow and wide; the probe script is added to a copy."""
    shutil.copytree(folder / "report", tmp_path / "report")
    text = (folder / "report.html").read_text().replace('loading="lazy"', "").replace("<details>", "<details open>")
    (tmp_path / "report.html").write_text(text.replace("</body>", f"{PROBE}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--window-size=1400,4000", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    # A frame, because a window cannot be narrower than 500 pixels.
    address = (tmp_path / "frame.html").as_uri()
    (tmp_path / "frame.html").write_text(
        '<script>addEventListener("message", e => { document.title = e.data; })</script>'
        f'<title></title><iframe src="report.html" width="{width}" height="30000" style="border:0"></iframe>'
    )
    done = subprocess.run([str(CHROMIUM), *options, address], capture_output=True, text=True, timeout=300, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert title[1] == f"width {width} page {width} wide 0 lost 0"


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
    figures = json.loads(json.dumps(report_json(report)))
    model = ModelResult("student", figures, None, tmp_path / "pr.csv")
    write_report(tmp_path / "r.html", title="t", models=[model])
    text = (tmp_path / "r.html").read_text()
    assert f"{student.ap(('loose', 'Car', 'bev_R40', 'moderate')):.2f}" in text
    assert "95 % intervals over 20 bootstrap resamples" in text
    assert "Student − Baseline" in text
    assert 'id="curves-head"' in text
