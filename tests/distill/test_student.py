"""The distillation step: the teacher stays as it is (Q3 says otherwise), and only the student's side trains."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.models.detector import build_detector, feature_channels
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from tests.distill.test_loss import METHODS

WIDTH = 0.125


@pytest.fixture(scope="module")
def batch(tiny_workspace: Path) -> Batch:
    root = KittiFolder(tiny_workspace / "data/demo")
    settings = InputSettings(64, 128, depth_scaled_twice=False)
    frames = Frames(root, root.frames(), settings, depth_dir=tiny_workspace / "data/depth", labels=True)
    return collate([frames[0, index] for index in range(2)])


@pytest.fixture
def step_of() -> Callable[..., DistillationStep]:
    def make(method: str, *, teacher_train_mode: bool = False) -> DistillationStep:
        torch.manual_seed(0)
        channels = feature_channels(WIDTH)
        return DistillationStep(
            build_detector(WIDTH),
            build_detector(WIDTH),
            DistillationLoss(
                METHODS[method],
                fused_channels=channels,
                backbone_channels=channels,
                quirks=Quirks.of("corrected"),
            ),
            quirks=replace(Quirks.of("corrected"), teacher_train_mode=teacher_train_mode),
        )

    return make


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("none", []),
        ("monodistill", ["foreground", "affinity", "head"]),
        ("monoskd", ["affinity", "head", "spearman"]),
        ("monoasd", ["affinity", "head", "align_select"]),
    ],
)
def test_detection_terms_come_first_then_the_method_s(
    step_of: Callable[..., DistillationStep], batch: Batch, method: str, extra: list[str]
) -> None:
    terms = step_of(method)([batch])
    assert set(list(terms)[:7]) == {"seg", "offset2d", "size2d", "depth", "offset3d", "size3d", "heading"}
    assert list(terms)[7:] == extra
    assert all(torch.isfinite(term) and term.ndim == 0 for term in terms.values())


@pytest.mark.parametrize("published", [False, True])
def test_q3_whether_the_teacher_s_statistics_drift(
    step_of: Callable[..., DistillationStep], batch: Batch, published: bool
) -> None:
    step = step_of("monoskd", teacher_train_mode=published).train()
    before = {name: value.clone() for name, value in step.teacher.state_dict().items()}
    step([batch])
    moved = [name for name, value in step.teacher.state_dict().items() if not torch.equal(value, before[name])]
    assert bool(moved) == published
    assert all("running" in name or "num_batches" in name for name in moved)


def test_the_teacher_is_no_part_of_what_trains_or_is_saved(
    step_of: Callable[..., DistillationStep], batch: Batch
) -> None:
    step = step_of("monoskd")
    assert not any("teacher" in name for name in step.state_dict())
    torch.stack(list(step([batch]).values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in step.teacher.parameters())
    assert any(parameter.grad is not None for parameter in step.distillation.parameters())
    assert any(parameter.grad is not None for parameter in step.detector.parameters())


@pytest.mark.parametrize("teacher_train_mode", [False, True])
def test_the_teacher_s_memory_layout_follows(
    step_of: Callable[..., DistillationStep], batch: Batch, teacher_train_mode: bool
) -> None:
    """It is no part of the module, so that nothing saves or trains it; its maps must be laid out like the student's."""
    step = step_of("monoskd", teacher_train_mode=teacher_train_mode)
    plain = step([batch])
    step.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weight = step.teacher.get_submodule("backbone.level2.tree1.conv1").get_parameter("weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, term in step([batch]).items():
        torch.testing.assert_close(term, plain[name], rtol=1e-3, atol=1e-5)
