"""Lines and text can be seen by everyone."""

import re
from importlib import resources
from itertools import product

import pytest

from monokd.report.drawing import GROUND
from monokd.report.networks import STYLES, TRUTH, Style

PAPER = {"on_light": (255, 255, 255), "on_dark": (0x14, 0x17, 0x1B)}


def contrast(one: tuple[int, ...], two: tuple[int, ...]) -> float:
    """Ratio of relative luminances by WCAG 2.2."""

    def luminance(rgb: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((luminance(one), luminance(two)))
    return (bright + 0.05) / (dark + 0.05)


def parsed(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


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
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", light if scheme == "on_light" else dark))
    assert parsed(colours["paper"]) == PAPER[scheme]
    for ground, word in product(("paper", "panel"), ("ink", "soft", "link")):
        assert contrast(parsed(colours[word]), parsed(colours[ground])) >= 4.5, (word, ground)


def test_no_reader_depends_on_hue() -> None:
    assert len({style.dashes for style in STYLES.values()}) == len(STYLES)
    assert len({style.marker for style in STYLES.values()}) == len(STYLES)
    assert contrast(TRUTH.rgb, STYLES["student"].rgb) > 1.8  # both are solid
