"""Lines and text can be seen by everyone."""

import re
from collections.abc import Iterable
from importlib import resources
from itertools import product

from monokd.report.drawing import GROUND
from monokd.report.networks import STYLES


def contrast(one: Iterable[int], two: Iterable[int]) -> float:
    """Ratio of relative luminances by WCAG 2.2."""

    def luminance(rgb: Iterable[int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((luminance(one), luminance(two)))
    return (bright + 0.05) / (dark + 0.05)


def test_text_and_lines_can_be_read_on_both_pages_and_from_above() -> None:
    """WCAG's limits: 4.5:1 for text, on the page and on its panels, and 3:1 for lines."""
    css = resources.files("monokd.report").joinpath("page.css").read_text()
    for scheme, part in zip(("on_light", "on_dark"), css.split("prefers-color-scheme: dark", 1), strict=True):
        colours = {name: bytes.fromhex(colour) for name, colour in re.findall(r"--(\w+): #([0-9a-f]{6});", part)}
        for ground, word in product(("paper", "panel"), ("ink", "soft", "link")):
            assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground)
        for style in STYLES.values():
            assert contrast(bytes.fromhex(getattr(style, scheme)[1:]), colours["paper"]) >= 4.5
            assert contrast(style.rgb, GROUND) >= 3
