"""Detection terms and task weights against the published code's numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from monokd.losses.detection import detection_terms
from monokd.losses.means import ALONE, over_processes
from monokd.losses.task_weights import TaskWeights
from tests.losses import golden

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def numbers(golden_dir: Path) -> dict[str, Any]:
    return golden.load(golden_dir / "losses.npz")


def test_detection_terms(numbers: dict[str, Any]) -> None:
    student = golden.output(numbers, "student", leaves=True)
    terms = over_processes(detection_terms(student, golden.targets(numbers), nan_without_depth=True), ALONE)
    for name, term in terms.items():
        assert golden.error(term, numbers[f"det_{name}_loss"]) < TOLERANCE, name
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    found = golden.gradients(student)
    expected = {key for key in numbers if key.startswith("det_grad_")}
    assert {f"det_grad_{name}" for name in found} == expected
    for name, gradient in found.items():
        assert golden.error(gradient, numbers[f"det_grad_{name}"]) < TOLERANCE, name


@pytest.mark.parametrize(("prefix", "shifted"), [("htl_", False), ("htl_published_", True)])
def test_task_weights(numbers: dict[str, Any], prefix: str, shifted: bool) -> None:
    """The named history, and quirk Q1's, where the distillation terms shift the table."""
    names = [str(name).removesuffix("_loss") for name in numbers[f"{prefix}names"]]
    distillation = [name for name in names if name.endswith("_kd")]
    tasks = TaskWeights(shifted_task_history=shifted, distillation_terms=distillation, unbounded_trends=True)
    for epoch, means in enumerate(numbers[f"{prefix}history"].tolist()):
        weights = tasks.update(dict(zip(names, means, strict=True)), epoch)
        expected = numbers[f"{prefix}weights"][epoch].tolist()
        assert [weights[name] for name in names[-7:]] == pytest.approx(expected, rel=TOLERANCE)
