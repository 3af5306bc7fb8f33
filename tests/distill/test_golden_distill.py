"""Distillation terms against the published code's numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torchsort
from torch import Tensor

from monokd.distill import spearman
from monokd.distill.affinity import affinity_loss
from monokd.distill.align_select import AlignSelect
from monokd.distill.foreground import foreground_loss
from monokd.distill.fusion import ReviewFusion
from monokd.distill.head import head_terms
from monokd.distill.maps import to_coarsest
from monokd.distill.spearman import spearman_loss
from monokd.losses.means import ALONE, Mean, over_processes
from monokd.samples.masks import box_mask, centre_mask
from tests.losses import golden

TOLERANCE = 1e-5
RANK_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def numbers(golden_dir: Path) -> dict[str, Any]:
    return golden.load(golden_dir / "losses.npz")


def check_maps(
    numbers: dict[str, Any],
    name: str,
    first: int,
    loss: Callable[..., tuple[Mean, ...]],
    tolerance: float = TOLERANCE,
    value_tolerance: float = TOLERANCE,
) -> None:
    """`loss` of the maps from level `first` on, and its gradients, against the numbers of `name`."""
    student = [level.requires_grad_() for level in golden.levels(numbers, "student")[first:]]
    value = over_processes({name: loss(student, golden.levels(numbers, "teacher")[first:])}, ALONE)[name]
    assert golden.error(value, numbers[name]) < value_tolerance
    pairs = zip(torch.autograd.grad(value, student), golden.levels(numbers, f"{name}_grad"), strict=True)
    assert all(golden.error(gradient, expected) < tolerance for gradient, expected in pairs)


def test_affinity(numbers: dict[str, Any]) -> None:
    for name, first in (("affinity", 0), ("affinity3", 1)):
        check_maps(numbers, name, first, lambda s, t: (affinity_loss(s, t),))


def published_rank_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> tuple[Mean]:
    return (spearman_loss(student, teacher, rank_teacher_only=True),)


def test_published_rank_loss_by_sorting(numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the soft ranks are not affine, torchsort's are used: here they are, made to look as if they were not."""
    monkeypatch.setattr(spearman, "soft_rank_is_affine", lambda *_: torch.tensor(False))
    check_maps(numbers, "spearman_published", 0, published_rank_loss, RANK_TOLERANCE)


def test_published_rank_loss_in_closed_form(numbers: dict[str, Any]) -> None:
    """Nearer to exact soft ranks than the published numbers, which carry what a float32 sort and sum round away."""
    check_maps(numbers, "spearman_published", 0, published_rank_loss, 10 * RANK_TOLERANCE, 10 * TOLERANCE)
    student = [level.requires_grad_() for level in golden.levels(numbers, "student")]
    exact = [level.detach().double().requires_grad_() for level in student]
    value = published_rank_loss(student, golden.levels(numbers, "teacher"))[0].here()
    expected = exact_rank_loss(exact, golden.levels(numbers, "teacher"))
    assert golden.error(value, expected.detach()) < TOLERANCE
    gradients = torch.autograd.grad(value, student), torch.autograd.grad(expected, exact)
    for gradient, sorted_gradient in zip(*gradients, strict=True):
        assert golden.error(gradient, sorted_gradient) < TOLERANCE


def exact_rank_loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """The published loss in float64, by torchsort."""
    total = torch.zeros((), dtype=torch.float64)
    for s, t in zip(to_coarsest(student), to_coarsest([t.double() for t in teacher]), strict=True):
        ranks = torchsort.soft_rank(t.flatten(1), regularization_strength=1.0) / t[0].numel()
        a, b = (x - x.mean() for x in (s.flatten(1), ranks))
        total = total + 1 - (a * b).sum() / (a.norm() * b.norm())
    return total


def test_foreground(numbers: dict[str, Any]) -> None:
    boxes = numbers["box2d_gt"]
    check_maps(numbers, "foreground", 1, lambda s, t: foreground_loss(s, t, boxes, unclipped_masks=True))


def test_masks(numbers: dict[str, Any]) -> None:
    for stride in (8, 16, 32):
        expected = numbers[f"box_mask_{stride}"]
        _, height, width = expected.shape
        found = box_mask(numbers["box2d_gt"], stride, height, width, unclipped_masks=True)
        assert torch.equal(found, expected)
    t = golden.targets(numbers)
    expected = numbers["gaussian_mask_4"]
    _, height, width = expected.shape
    found = centre_mask(t.boxes_px, 4, height, width, t.object_count, unclipped_masks=True)
    assert torch.equal(found, expected)


def test_head(numbers: dict[str, Any]) -> None:
    student = golden.output(numbers, "student", leaves=True)
    teacher = golden.output(numbers, "teacher", leaves=False)
    terms = over_processes(head_terms(student, teacher, golden.targets(numbers), unclipped_masks=True), ALONE)
    for name, term in terms.items():
        assert golden.error(term, numbers[f"head_{name}"]) < TOLERANCE, name
    total = torch.stack(list(terms.values())).sum()
    assert golden.error(total, numbers["head"]) < TOLERANCE
    torch.autograd.backward(total)
    found = golden.gradients(student)
    assert {f"head_grad_{name}" for name in found} == {key for key in numbers if key.startswith("head_grad_")}
    for name, gradient in found.items():
        assert golden.error(gradient, numbers[f"head_grad_{name}"]) < TOLERANCE, name


def state(numbers: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in numbers.items() if key.startswith(prefix)}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_fusion(golden_dir: Path, mode: str) -> None:
    numbers = golden.load(golden_dir / "fusion.npz")
    maps = [level.requires_grad_() for level in golden.levels(numbers, "level")]
    weights = state(numbers, "state.rgb_fs.")
    module = ReviewFusion([level.shape[1] for level in maps], weights["0.conv1.0.weight"].shape[0]).train(
        mode == "train"
    )
    module.load_state_dict(weights)
    out = module(maps)
    torch.autograd.backward(torch.stack([(level**2).mean() for level in out]).sum())
    # Behind batch statistics a mean square is constant: in training its gradients are rounding noise around 0.
    expected = golden.levels(numbers, f"{mode}_grad"), golden.levels(numbers, "eval_grad")
    for i, (own, other) in enumerate(zip(*expected, strict=True)):
        assert golden.error(out[i], numbers[f"{mode}_out_{i}"]) < TOLERANCE
        assert golden.error(maps[i].grad, own, float(other.abs().max())) < TOLERANCE  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_align_select(golden_dir: Path, mode: str) -> None:
    numbers = golden.load(golden_dir / "align_select.npz")
    student = [level.requires_grad_() for level in golden.levels(numbers, "student")]
    module = AlignSelect([level.shape[1] for level in student], running_level_sums=True, trainable_teacher_side=True)
    module.load_state_dict(state(numbers, "state."))
    module.train(mode == "train")
    mean, out_student, out_teacher = module(student, golden.levels(numbers, "teacher"))
    loss = mean.here()
    assert golden.error(loss, numbers[f"{mode}_loss"]) < TOLERANCE
    torch.autograd.backward(loss + torch.stack([(level**2).mean() for level in (*out_student, *out_teacher)]).sum())
    for i in range(len(student)):
        assert golden.error(out_student[i], numbers[f"{mode}_out_student_{i}"]) < TOLERANCE
        assert golden.error(out_teacher[i], numbers[f"{mode}_out_teacher_{i}"]) < TOLERANCE
        assert golden.error(student[i].grad, numbers[f"{mode}_grad_{i}"]) < TOLERANCE  # type: ignore[arg-type]
