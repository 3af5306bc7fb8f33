"""The methods as sums of terms: what each computes, trains and keeps, and quirk Q12 both ways."""

from __future__ import annotations

import pytest
import torch

from monokd.distill import methods
from monokd.distill.methods import METHODS, DistillationLoss, method_weights
from monokd.errors import DataError
from monokd.losses.replicas import Replicas
from tests.losses import fakes
from tests.losses.processes import together

PUBLISHED = {
    "none": {},
    "monodistill": {"affinity": 1.0, "head": 1.0, "foreground": 10.0},
    "monoskd": {"affinity": 1.0, "head": 1.0, "spearman": 1.0},
    "monoasd": {"affinity": 1.0, "head": 1.0, "align_select": 10.0},
}


def build(method: str, *, fused_flags_ignored: bool = False, **replaced: float) -> DistillationLoss:
    torch.manual_seed(0)
    return DistillationLoss(
        method_weights(method, fused_flags_ignored=fused_flags_ignored, **replaced),
        student_channels=fakes.FUSED,
        backbone_channels=fakes.BACKBONE,
        fusion_channels=8,
    )


def test_the_methods() -> None:
    assert list(METHODS) == list(PUBLISHED)


@pytest.mark.parametrize("method", PUBLISHED)
def test_terms_and_published_weights(method: str) -> None:
    """Terms come unweighted, by name; their weighted sum teaches student and adapters, never the teacher."""
    t = fakes.targets(2)
    student, teacher = fakes.output(t, 1, leaves=True), fakes.output(t, 2, leaves=True)
    module = build(method)
    terms = module(student, teacher, t)
    assert list(terms) == list(module.weights) == list(PUBLISHED[method])
    assert module.weights == PUBLISHED[method]
    if not terms:
        return
    loss = module.weighted_sum(terms)
    expected = sum(PUBLISHED[method][name] * float(term.detach()) for name, term in terms.items())
    assert loss.item() == pytest.approx(expected)
    torch.autograd.backward(loss)
    assert student.fused[0].grad is not None
    assert teacher.fused[0].grad is None
    assert teacher.offset_2d.grad is None
    frozen = {name for name, p in module.named_parameters() if p.requires_grad and p.grad is None}
    assert all(name.startswith("rgb_fs.3") for name in frozen)  # stride 4 is fused but not compared


@pytest.mark.parametrize("method", PUBLISHED)
def test_parameters_have_published_names(method: str) -> None:
    found = {name.split(".")[0] for name in build(method).state_dict()}
    adapters = {f"adapt_layer{stride}" for stride in (4, 8, 16, 32)}
    extra = {"monodistill": {"rgb_fs"}, "monoasd": {"compute_align_select_loss"}}.get(method, set())
    assert found == (set() if method == "none" else adapters | extra)


def test_a_weight_of_zero_skips_the_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(methods, "affinity_loss", refuse)
    t = fakes.targets(2)
    module = build("monoskd", affinity=0.0, head=2.0)
    assert module.weights == {"head": 2.0, "spearman": 1.0}
    assert set(module(fakes.output(t, 1), fakes.output(t, 2), t)) == {"head", "spearman"}


@pytest.mark.parametrize("published", [True, False])
def test_q12_a_weight_of_zero(published: bool) -> None:
    """Published: it does not switch a term off."""
    module = build("monoskd", affinity=0.0, spearman=3.0, fused_flags_ignored=published)
    expected = {"head": 1.0, "spearman": 3.0}
    assert module.weights == (expected | {"affinity": 1.0} if published else expected)


def test_terms_of_other_methods_can_be_added() -> None:
    t = fakes.targets(2)
    module = build("none", foreground=10.0, spearman=0.5)
    assert list(module(fakes.output(t, 1), fakes.output(t, 2), t)) == ["spearman", "foreground"]


@pytest.mark.parametrize("method", ["monodistill", "monoskd", "monoasd"])
def test_a_teacher_under_inference_mode(method: str) -> None:
    """Its tensors may not be saved for a backward pass; the values are the same as without."""
    t = fakes.targets(2)
    student, teacher = fakes.output(t, 1, leaves=True), fakes.output(t, 2)
    module = build(method).eval()
    expected = module(student, teacher, t)
    with torch.inference_mode():
        inferred = fakes.output(t, 2)
    found = module(student, inferred, t)
    torch.autograd.backward(module.weighted_sum(found))
    assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in expected.items()}


@pytest.mark.parametrize("method", ["monodistill", "monoskd", "monoasd"])
def test_bfloat16_gives_finite_single_precision_terms(method: str) -> None:
    t = fakes.targets(2)
    student = fakes.output(t, 1, leaves=True)
    module = build(method)
    with torch.autocast("cpu", torch.bfloat16):
        terms = module(student, fakes.output(t, 2), t)
    torch.autograd.backward(module.weighted_sum(terms))
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize("method", ["monodistill", "monoskd", "monoasd"])
def test_two_processes_give_the_terms_and_gradients_of_one(method: str) -> None:
    """In eval mode: batch norm over processes is the trainer's choice (quirk Q5)."""
    t = fakes.targets(4)
    teacher = fakes.output(t, 2)
    whole, shared = (fakes.output(t, 1, leaves=True) for _ in range(2))
    module = build(method).eval()
    expected = module(whole, teacher, t)
    torch.autograd.backward(module.weighted_sum(expected))

    modules = [build(method).eval() for _ in range(2)]

    def work(process: int, replicas: Replicas) -> dict[str, torch.Tensor]:
        own = modules[process]
        first, last = 2 * process, 2 * process + 2
        own_targets, student = fakes.part(t, shared, first, last)
        terms: dict[str, torch.Tensor] = own(student, fakes.part(t, teacher, first, last)[1], own_targets, replicas)
        return terms

    found = [dict(terms) for terms in together(2, work)]
    for name, value in expected.items():
        torch.testing.assert_close((found[0][name] + found[1][name]) / 2, value, msg=name)
    torch.autograd.backward(torch.stack([module.weighted_sum(terms) for terms in found]).mean())
    pairs = [(shared.offset_2d, whole.offset_2d), (shared.roi.heading, whole.roi.heading)]
    pairs += list(zip((*shared.fused, *shared.backbone), (*whole.fused, *whole.backbone), strict=True))
    for a, b in pairs:
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(DataError, match="none, monodistill, monoskd, monoasd, found monosk"):
        build("monosk")
