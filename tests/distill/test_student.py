"""The distillation step: the teacher stays as it is (Q3 says otherwise), and only the student's side trains."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from monokd.distill.loss import TERMS, DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.losses.means import Terms
from monokd.models.detector import build_detector
from monokd.models.outputs import DetectorOutput
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from tests.distill.test_loss import METHODS
from tests.training.test_steps import CORRECTED, WIDTH, labelled


@pytest.fixture(scope="module")
def batch(tiny_workspace: Path) -> Batch:
    frames = labelled(tiny_workspace)
    return collate([frames[0, index] for index in range(2)])


def build(method: str, quirks: Quirks = CORRECTED) -> DistillationStep:
    torch.manual_seed(0)
    student, teacher = build_detector(WIDTH), build_detector(WIDTH)
    channels = student.channels
    loss = DistillationLoss(METHODS[method], fused_channels=channels, backbone_channels=channels, quirks=CORRECTED)
    return DistillationStep(student, teacher, loss, quirks=quirks)


def test_a_term_on_whole_heads_finds_both_heat_maps_and_no_cell_left_out(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[DetectorOutput] = []

    def look(student: DetectorOutput, teacher: DetectorOutput, *_: object) -> Terms:
        seen.extend((student, teacher))
        return {}

    for compared in ("heads", "whole heads"):
        monkeypatch.setitem(TERMS, "head", compared)
        step = build("monoskd")
        monkeypatch.setattr(step.distillation, "forward", look)
        step([batch])
    assert [output.heatmap.numel() > 0 for output in seen] == [True, False, True, True]
    assert [bool(output.size_2d.isfinite().all()) for output in seen] == [False, False, True, True]


@pytest.mark.parametrize("published", [False, True])
def test_q3_whether_the_teacher_s_statistics_drift(batch: Batch, published: bool) -> None:
    step = build("monoskd", replace(CORRECTED, teacher_train_mode=published)).train()
    before = {name: value.clone() for name, value in step.teacher.state_dict().items()}
    step([batch])
    moved = [name for name, value in step.teacher.state_dict().items() if not torch.equal(value, before[name])]
    assert bool(moved) == published
    assert all("running" in name or "num_batches" in name for name in moved)


def test_the_teacher_is_neither_trained_nor_saved_but_follows_to_memory_formats_and_types(batch: Batch) -> None:
    step = build("monoskd")
    assert not any("teacher" in name for name in step.state_dict())
    plain = step([batch])
    torch.autograd.backward(torch.stack(list(plain.values())).sum())
    assert all(parameter.grad is None for parameter in step.teacher.parameters())
    assert any(parameter.grad is not None for parameter in step.distillation.parameters())
    assert any(parameter.grad is not None for parameter in step.detector.parameters())
    step.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weight = step.teacher.get_submodule("backbone.level2.tree1.conv1").get_parameter("weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, term in step([batch]).items():
        torch.testing.assert_close(term, plain[name], rtol=1e-3, atol=1e-5)
    assert {parameter.dtype for parameter in step.double().teacher.parameters()} == {torch.float64}
