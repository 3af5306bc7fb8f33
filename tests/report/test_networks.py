"""Lines and text can be seen by everyone."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from monokd.report.drawing import GROUND
from monokd.report.networks import STYLES, TRUTH, Style, style_of

PAPER = {"on_light": (255, 255, 255), "on_dark": (0x14, 0x17, 0x1B)}


def contrast(one: tuple[int, int, int], two: tuple[int, int, int]) -> float:
    """Ratio of relative luminances by WCAG 2.2."""

    def luminance(rgb: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((luminance(one), luminance(two)))
    return (bright + 0.05) / (dark + 0.05)


def parsed(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@pytest.mark.parametrize("style", STYLES.values())
def test_lines_show_on_both_pages_and_from_above(style: Style) -> None:
    """4.5:1 is WCAG's limit for text on paper; 3:1 that for lines."""
    for name, paper in PAPER.items():
        assert contrast(parsed(getattr(style, name)), paper) >= 4.5
    assert contrast(style.rgb, GROUND) >= 3


@pytest.mark.parametrize("scheme", ("on_light", "on_dark"))
def test_text_can_be_read_on_both_pages(scheme: str) -> None:
    """WCAG's 4.5:1 for the page's own colours of text, on the page and on its panels."""
    css = resources.files("monokd.report").joinpath("page.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    found = re.compile(r"--(\w+): (#[0-9a-f]{6});")
    colours = dict(found.findall(light)) | (dict(found.findall(dark)) if scheme == "on_dark" else {})
    assert parsed(colours["paper"]) == PAPER[scheme]
    for ground in ("paper", "panel"):
        for word in ("ink", "soft", "link"):
            assert contrast(parsed(colours[word]), parsed(colours[ground])) >= 4.5, (word, ground)


def test_no_reader_depends_on_hue() -> None:
    assert len({style.dashes for style in STYLES.values()}) == len(STYLES)
    assert len({style.marker for style in STYLES.values()}) == len(STYLES)
    assert contrast(TRUTH.rgb, STYLES["student"].rgb) > 1.8  # both are solid


def test_other_names_get_the_spare_look() -> None:
    assert style_of("yours").label == "yours"
