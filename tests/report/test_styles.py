"""Lines can be seen and told apart by everyone."""

from __future__ import annotations

import re
from importlib import resources
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from monokd.report.birds_eye import GROUND
from monokd.report.styles import SPARE, STYLES, TRUTH, Style, style_of

ALL = [*STYLES.values(), *SPARE]
PAPER = {"on_light": (255, 255, 255), "on_dark": (0x14, 0x17, 0x1B)}


# What a colour becomes without one kind of cone, on linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def seen(rgb: tuple[int, int, int], blindness: str) -> NDArray[np.float64]:
    """CIELAB of a colour as somebody with `blindness` sees it."""
    share = np.array(rgb) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = SRGB_TO_XYZ @ np.clip(np.array(BLINDNESS[blindness]) @ linear, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_three_networks_differ_for_every_kind_of_colour_vision(blindness: str) -> None:
    """20 in CIELAB is far more than the 2 to 3 that can just be told apart."""
    for one, two in combinations(STYLES.values(), 2):
        for colours in ((one.rgb, two.rgb), *((parsed(getattr(one, n)), parsed(getattr(two, n))) for n in PAPER)):
            assert np.linalg.norm(seen(colours[0], blindness) - seen(colours[1], blindness)) > 20


def luminance(rgb: tuple[int, int, int]) -> float:
    """Relative luminance by WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, int, int], two: tuple[int, int, int]) -> float:
    dark, bright = sorted((luminance(one), luminance(two)))
    return (bright + 0.05) / (dark + 0.05)


def parsed(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@pytest.mark.parametrize("style", ALL)
def test_contrast_of_text_size_on_both_pages_and_from_above(style: Style) -> None:
    """4.5:1 is WCAG's limit for text, above the 3:1 for lines."""
    for name, paper in PAPER.items():
        assert contrast(parsed(getattr(style, name)), paper) >= 4.5
    assert contrast(style.rgb, GROUND) >= 4.5


def schemes() -> dict[str, dict[str, str]]:
    """The page's own colours: on light paper, on dark paper."""
    css = resources.files("monokd.report").joinpath("page.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    found = re.compile(r"--(\w+): (#[0-9a-f]{6});")
    on_light = dict(found.findall(light))
    return {"on_light": on_light, "on_dark": on_light | dict(found.findall(dark))}


@pytest.mark.parametrize("scheme", ("on_light", "on_dark"))
def test_text_can_be_read_on_both_pages(scheme: str) -> None:
    """WCAG's 4.5:1 for every colour of text and line, on the page and on its panels."""
    colours = schemes()[scheme]
    assert parsed(colours["paper"]) == PAPER[scheme]
    words = [colours[name] for name in ("ink", "soft", "link")] + [getattr(style, scheme) for style in ALL]
    for ground in ("paper", "panel"):
        for word in words:
            assert contrast(parsed(word), parsed(colours[ground])) >= 4.5, (word, ground)


def test_no_two_looks_share_dashes_or_marker() -> None:
    for one, two in combinations(ALL, 2):
        assert one.dashes != two.dashes
        assert one.marker != two.marker


def test_solid_truth_differs_from_the_solid_student_in_brightness() -> None:
    assert contrast(TRUTH.rgb, STYLES["student"].rgb) > 1.8


def test_unknown_names_get_a_look_of_their_own() -> None:
    assert style_of("yours", 0).label == "yours"
    assert style_of("yours", 0).dashes != style_of("other", 1).dashes
