"""Lines can be seen and told apart by everyone."""

from __future__ import annotations

from itertools import combinations

import pytest

from monokd.report.birds_eye import GROUND
from monokd.report.styles import SPARE, STYLES, TRUTH, Style, style_of

ALL = [*STYLES.values(), *SPARE]
PAPER = {"on_light": (255, 255, 255), "on_dark": (0x14, 0x17, 0x1B)}


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


def test_no_two_looks_share_dashes_or_marker() -> None:
    for one, two in combinations(ALL, 2):
        assert one.dashes != two.dashes
        assert one.marker != two.marker


def test_solid_truth_differs_from_the_solid_student_in_brightness() -> None:
    assert contrast(TRUTH.rgb, STYLES["student"].rgb) > 1.8


def test_unknown_names_get_a_look_of_their_own() -> None:
    assert style_of("yours", 0).label == "yours"
    assert style_of("yours", 0).dashes != style_of("other", 1).dashes
