"""Which maps, modules and terms belong together, and what reaches student, teacher and other processes."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from monokd.distill.loss import TERMS, DistillationLoss
from monokd.losses.means import ALONE, Processes, Terms, over_processes
from monokd.params import Behaviour
from monokd.quirks import Quirks
from monokd.typing import Term
from tests.losses import fakes
from tests.losses.processes import together

METHODS = {
    "none": (),
    "monodistill": ("foreground", "affinity", "head"),
    "monoskd": ("affinity", "head", "spearman"),
    "monoasd": ("affinity", "head", "align_select"),
}
LOSSES = [name for name in METHODS if name != "none"]


def build(*terms: str, behaviour: Behaviour = "corrected") -> DistillationLoss:
    torch.manual_seed(0)
    return DistillationLoss(
        terms, fused_channels=fakes.FUSED, backbone_channels=fakes.BACKBONE, quirks=Quirks.of(behaviour)
    )


def values(terms: Terms) -> dict[str, Tensor]:
    return over_processes(terms, ALONE)


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


@pytest.mark.parametrize("method", METHODS)
def test_terms_modules_and_gradients(method: str) -> None:
    """Terms come in the published order; modules have the published names; every parameter learns, the teacher not."""
    t = fakes.targets(2)
    student, teacher = fakes.output(t, 1, leaves=True), fakes.output(t, 2, leaves=True)
    module = build(*reversed(METHODS[method]))
    terms = values(module(student, teacher, t))
    assert tuple(terms) == module.terms == METHODS[method]
    strides = {"none": (), "monodistill": (8, 16, 32)}.get(method, (4, 8, 16, 32))
    extra = {"monodistill": {"rgb_fs"}, "monoasd": {"compute_align_select_loss"}}.get(method, set())
    assert {name.split(".")[0] for name in module.state_dict()} == {f"adapt_layer{s}" for s in strides} | extra
    if not terms:
        return
    torch.autograd.backward(total(terms))
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
    on_backbone = method == "monodistill"
    assert [level.grad is not None for level in student.fused] == [not on_backbone] * 4
    assert [level.grad is not None for level in student.backbone] == [False] * 3 + [on_backbone] * 3
    assert all(level.grad is None for level in (*teacher.fused, *teacher.backbone, teacher.offset_2d))


def test_every_term_that_parameters_may_name_is_there() -> None:
    assert set(get_args(Term)) == set(TERMS)


@pytest.mark.parametrize("method", LOSSES)
def test_bfloat16_gives_finite_single_precision_terms(method: str) -> None:
    t = fakes.targets(2)
    module = build(*METHODS[method])
    with torch.autocast("cpu", torch.bfloat16):
        terms = values(module(fakes.output(t, 1, leaves=True), fakes.output(t, 2), t))
    torch.autograd.backward(total(terms))
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize("behaviour", get_args(Behaviour))
@pytest.mark.parametrize("method", LOSSES)
def test_two_processes_give_the_terms_and_gradients_of_one(method: str, behaviour: Behaviour) -> None:
    """In eval mode: batch norm over processes is the trainer's choice (quirk Q5)."""
    t = fakes.targets(4)
    teacher = fakes.output(t, 2)
    whole, shared = (fakes.output(t, 1, leaves=True) for _ in range(2))
    module = build(*METHODS[method], behaviour=behaviour).eval()
    expected = values(module(whole, teacher, t))
    torch.autograd.backward(total(expected))

    modules = [build(*METHODS[method], behaviour=behaviour).eval() for _ in range(2)]

    def work(process: int, processes: Processes) -> dict[str, Tensor]:
        first, last = 2 * process, 2 * process + 2
        own_targets, student = fakes.part(t, shared, first, last)
        terms = modules[process](student, fakes.part(t, teacher, first, last)[1], own_targets, processes)
        return over_processes(terms, processes)

    found = together(2, work)
    for name, value in expected.items():
        torch.testing.assert_close((found[0][name] + found[1][name]) / 2, value, msg=name)
    torch.autograd.backward(torch.stack([total(terms) for terms in found]).mean())
    pairs = [(shared.offset_2d, whole.offset_2d), (shared.roi.heading, whole.roi.heading)]
    pairs += list(zip((*shared.fused, *shared.backbone), (*whole.fused, *whole.backbone), strict=True))
    for a, b in pairs:
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad)
