"""Affinity, foreground, head and fusion by hand."""

import math

import pytest
import torch

from monokd.distill.affinity import affinity_loss
from monokd.distill.foreground import foreground_loss
from monokd.distill.head import head_terms
from monokd.losses.detection import trained_slots
from monokd.losses.means import ALONE, over_processes
from tests.losses import fakes


def test_affinity_by_hand() -> None:
    """Two positions, one channel: Gram matrices [[1, 2], [2, 4]] and [[1, −1], [−1, 1]] differ by 9 in 4 cells."""
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[1.0, -1.0]]]])
    assert affinity_loss([student], [teacher]).here().item() == pytest.approx(9 / 4)


def test_foreground_by_hand() -> None:
    """Box over cells 0 and 1 of 4, the teacher silent in cell 1: ½·(3² + 1²)/2 in the one cell left."""
    student = torch.zeros(1, 2, 1, 4)
    teacher = torch.tensor([[[[3.0, 0, 5, 5]], [[1.0, 0, 5, 5]]]])
    boxes = torch.tensor([[[0.0, 0, 16, 8]]])
    (loss,) = foreground_loss([student], [teacher], boxes, strides=(8,))
    assert loss.here().item() == pytest.approx(0.5 * (9 + 1) / 2)


def test_foreground_without_any_cell_is_zero_with_zero_gradients() -> None:
    student = torch.zeros(1, 2, 1, 4, requires_grad=True)
    (mean,) = foreground_loss([student], [torch.ones(1, 2, 1, 4)], torch.zeros(1, 3, 4), strides=(8,))
    loss = mean.here()
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert student.grad is not None
    assert student.grad.abs().sum().item() == 0


def test_head_heading_by_hand() -> None:
    """The student is even over 12 bins, the teacher sure of one: ln 12 / 12; the target bin's residuals differ by ½."""
    t = fakes.targets(1)
    student, teacher = fakes.output(t, 1), fakes.output(t, 1)
    heading_bin = t.heading_bin.flatten()[trained_slots(t.mask_2d, 1)]
    student.roi.heading = torch.zeros(1, 24)
    teacher.roi.heading = torch.zeros(1, 24)
    teacher.roi.heading[0, 3] = 100.0
    teacher.roi.heading[0, 12 + int(heading_bin)] = 0.5
    heading = over_processes(head_terms(student, teacher, t), ALONE)["heading"].item()
    assert heading == pytest.approx(math.log(12) / 12 + 0.5, rel=1e-5)
