"""The page: complete, offline, accessible, safe against names in files, the same for the same inputs."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import pytest

from monokd.errors import DataError
from monokd.report.frames import PageFrames
from monokd.report.networks import NETWORKS
from monokd.report.page import Background, write_report
from monokd.report.previous import Previous
from monokd.report.results import Results
from tests.conftest import tree
from tests.report.fakes import write_frames, write_results_of

VOID = {"meta", "link", "img", "br", "line", "path", "use", "circle", "rect"}


class Page(HTMLParser):
    """Collects elements and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
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
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[PageFrames, Results]:
    folder = tmp_path_factory.mktemp("inputs")
    frames, truths = write_frames(folder / "frames")
    return frames, write_results_of(folder, truths)


BEFORE: Any = {name: {"loose": {"Car": {"3d_R40": {"moderate": 20.0}}}} for name in NETWORKS}
CHANGED = (("losses.monoskd.affinity", 1.0, 2.0),)
PREVIOUS = Previous("0123abcd", "2026-01-31", "Try <b>more</b>", BEFORE, CHANGED)
ERRORS = {"rmse_m": 1.0, "mae_m": 0.5, "returns": 7}
BACKGROUND = Background(
    settings={"profile": "demo", "loss": "monoskd", "seed": 0, "behaviour": "corrected"},
    training_data="64 labelled frames, 640 without labels",
    distilled=True,
    depth={**ERRORS, "filled": 1.0, "objects": ERRORS, "bands": {"0_10_m": ERRORS, "60_256_m": dict.fromkeys(ERRORS)}},
    label_quality={"frames": 640, "boxes": "teacher", "precision": 0.91, "recall": 0.62},
    resamples=50,
    spread={"seed_std": {"3d_R40": 1.9}},
)


def write(out: Path, inputs: tuple[PageFrames, Results], **changed: Any) -> str:
    frames, results = inputs
    given: dict[str, Any] = {"results": results, "frames": frames, "background": BACKGROUND, "previous": PREVIOUS}
    write_report(out, **({"title": "test data"} | given | changed))
    return out.read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, inputs: tuple[PageFrames, Results]) -> Path:
    out = tmp_path_factory.mktemp("page")
    write(out / "report.html", inputs)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


SECTIONS = ("results", "changes", "frames", "curves", "training", "depth", "labels", "all")


def check_structure(page: Page) -> None:
    """Unique ids, references that lead to them, headings that skip no level, heads with a scope, charts with words."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', page.source)
    assert {name for pair in references for name in pair if name} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {attributes.get("scope") for attributes in page.all("th")} <= {"col", "row", "colgroup"}
    assert len(page.all("caption")) == len(page.all("table"))
    charts = [attributes for attributes in page.all("svg") if attributes.get("aria-hidden") != "true"]
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in charts)


def test_every_section_is_there_and_can_be_read_by_everyone(page: Page) -> None:
    assert {attributes["id"] for attributes in page.all("h2")} == {f"{name}-head" for name in SECTIONS}
    check_structure(page)
    assert len([a for a in page.all("svg") if a.get("role") == "img"]) > 8


def test_pictures_exist_with_size_and_words(page: Page, folder: Path) -> None:
    pictures = page.all("img")
    frame = 4 + 4 + 2  # photographs, heat maps, depth and the view from above
    assert len(pictures) % frame == 0
    assert len(pictures) >= 4 * frame
    for attributes in pictures:
        image = cv2.imread(str(folder / str(attributes["src"])))
        assert image is not None
        assert [str(image.shape[1]), str(image.shape[0])] == [attributes["width"], attributes["height"]]
        assert len(attributes["alt"] or "") > 20
    used = {str(attributes["src"]) for attributes in pictures}
    assert {f"report/{path.name}" for path in (folder / "report").iterdir()} == used
    assert used == {a["href"] for a in page.all("a") if not str(a["href"]).startswith("#")}


def test_nothing_comes_from_a_network_and_nothing_runs(folder: Path, page: Page) -> None:
    text = (folder / "report.html").read_text()
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//|url\(|@import", re.sub(r"url\(#[^)]*\)", "", text))
    assert not page.all("script")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_same_inputs_give_the_same_bytes(tmp_path: Path, folder: Path, inputs: tuple[PageFrames, Results]) -> None:
    write(tmp_path / "report.html", inputs)
    assert tree(tmp_path) == tree(folder)


def test_names_from_files_are_text(tmp_path: Path, inputs: tuple[PageFrames, Results]) -> None:
    """Class, setting and column names cannot become elements; odd names of the page still find pictures."""
    bad = "<script>alert(1)<script>\"'&"
    frames, results = inputs
    odd = replace(
        results,
        ap=results.ap.replace({"Car": bad}),
        bands=results.bands.replace({"Car": bad}),
        history=results.history.rename(columns={"depth": bad}),
    )
    quality = {**BACKGROUND.label_quality, bad: bad}
    said = replace(BACKGROUND, settings={**BACKGROUND.settings, bad: bad}, training_data=bad, label_quality=quality)
    page = Page(write(tmp_path / "a #1 ü%.html", (frames, odd), title=bad, background=said))
    assert not page.all("script")
    assert bad in "".join(page.text)
    assert all((tmp_path / unquote(str(attributes["src"]))).is_file() for attributes in page.all("img"))


def test_missing_predictions_are_named(tmp_path: Path, inputs: tuple[PageFrames, Results]) -> None:
    lost = replace(inputs[1], predictions=tmp_path)
    with pytest.raises(DataError, match="teacher: expected a folder with predictions of teacher"):
        write(tmp_path / "r.html", inputs, results=lost)


def test_background_and_what_changed_stand_on_the_page(page: Page) -> None:
    text = "".join(page.text)
    for words in ("0123abcd of 2026-01-31, “Try <b>more</b>”", "was 20.00", "losses.monoskd.affinity", "0.91"):
        assert words in text
    assert "At 60 to 256 m" in text
    assert "(standard deviation) 3D R40 1.9 points" in text
    assert "64 labelled frames, 640 without labels" in text


def test_a_part_without_content_is_left_out(tmp_path: Path, inputs: tuple[PageFrames, Results]) -> None:
    """A student without distillation is called what it is."""
    bare = replace(BACKGROUND, distilled=False, depth={"source": "files"}, label_quality={})
    text = write(tmp_path / "r.html", inputs, background=bare, previous=None)
    heads = {attributes["id"] for attributes in Page(text).all("h2")}
    assert heads == {f"{name}-head" for name in SECTIONS if name not in ("changes", "depth", "labels")}
    assert "No term of the distillation has a weight" in text
    assert "learns to imitate" not in text
    for none in ({"frames": 0, "boxes": "teacher"}, {"frames": 640, "boxes": "none"}):
        assert write(tmp_path / "r.html", inputs, background=replace(bare, label_quality=none), previous=None) == text


def test_the_source_of_boxes_is_named(tmp_path: Path, inputs: tuple[PageFrames, Results]) -> None:
    """Boxes alone teach the student something that the control does not see."""
    quality = {"frames": 640, "boxes": "labels"}
    text = write(tmp_path / "r.html", inputs, background=replace(BACKGROUND, distilled=False, label_quality=quality))
    assert "On frames without labels the student learns from the hidden true labels." in text
    assert "As labels: the hidden true labels" in text
    assert "and learns from the hidden true labels meanwhile" in text
    assert "without distillation" not in text


def test_three_classes_and_one_that_nobody_detects(tmp_path: Path, inputs: tuple[PageFrames, Results]) -> None:
    """Every class has its part, Car first though listed second; a class without any result is named as such."""
    results = write_results_of(tmp_path, {}, classes=("Pedestrian", "Car", "Cyclist"))
    results.ap.loc[results.ap["class"] == "Cyclist", ["ap", "low", "high"]] = None
    results = replace(results, predictions=inputs[1].predictions)
    page = Page(write(tmp_path / "r.html", inputs, results=results))
    text = "".join(page.text)
    assert text.index("Car, moderate: AP|R40") < text.index("Pedestrian, moderate: AP|R40")
    assert "No result: no network detects a Cyclist." in text
    assert "average precision (AP|R40) in percent for Car" in text
    check_structure(page)
