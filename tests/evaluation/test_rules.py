"""What counts: difficulties at their limits, neighbours, low detections, metrics without a result."""

from typing import Any

import pytest

from monokd.classes import EASY, HARD, MODERATE
from monokd.evaluation.rules import IGNORED, VALID, defined_metrics, label_states
from tests.evaluation.cases import Line, line, table


def high(height_px: float) -> dict[str, Any]:
    return {"box": (100, 100, 200, 100 + height_px)}


def states_of(*labels: Line, name: str = "Car", difficulty: Any = MODERATE, rule: str = "le") -> list[int]:
    return [int(state) for state in label_states(table([labels]), name, difficulty, rule)]


@pytest.mark.parametrize(
    "difficulty, occlusion, truncation, height", [(EASY, 0, 0.15, 40), (MODERATE, 1, 0.30, 25), (HARD, 2, 0.50, 25)]
)
def test_each_limit_of_each_difficulty(difficulty: Any, occlusion: int, truncation: float, height: float) -> None:
    at_limits: dict[str, Any] = {"occlusion": occlusion, "truncation": truncation}
    labels = [
        line(**high(height + 0.01), **at_limits),
        line(**high(height), **at_limits),
        line(**high(height - 0.01), **at_limits),
        line(**high(height + 1), occlusion=occlusion + 1),
        line(**high(height + 1), truncation=truncation + 0.01),
    ]
    assert states_of(*labels, difficulty=difficulty) == [VALID, IGNORED, IGNORED, IGNORED, IGNORED]
    assert states_of(*labels, difficulty=difficulty, rule="lt") == [VALID, VALID, IGNORED, IGNORED, IGNORED]


def test_metrics_need_a_box_of_their_kind() -> None:
    flat: Line = line(size=(-1, -1, -1), location=(-1000, -1000, -1000), score=1)
    assert defined_metrics(table([[flat]]), "Car") == ("bbox", "aos")
    assert defined_metrics(table([[line(location=(0, -1000, 20), score=1)]]), "Car") == ("bev", "bbox", "aos")
    assert defined_metrics(table([[line(box=(-1, 0, 50, 50), score=1)]]), "Car") == ("3d", "bev")
    assert defined_metrics(table([[line(score=1)], [line("Van", alpha=-10, score=1)]]), "Car") == ("3d", "bev", "bbox")
    assert defined_metrics(table([[line(score=1)]]), "Cyclist") == ()
