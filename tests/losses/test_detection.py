"""Detection terms by hand."""

import math

import pytest
import torch

from monokd.losses.detection import detection_terms, heading_loss, heatmap_focal, laplace, mean_l1, rows, trained_slots
from monokd.losses.means import ALONE, over_processes
from monokd.models.outputs import DetectorOutput, RoiOutput
from monokd.samples.batch import Targets
from tests.losses import fakes


def values(output: DetectorOutput, targets: Targets, *, nan_without_depth: bool = False) -> dict[str, torch.Tensor]:
    """The terms of this process alone."""
    return over_processes(detection_terms(output, targets, nan_without_depth=nan_without_depth), ALONE)


@pytest.mark.parametrize(("ignored", "near"), [(False, 0.5**4), (True, 0.0)])
def test_focal_by_hand(ignored: bool, near: float) -> None:
    """One peak and one cell near it, both at probability ½: −ln ½·¼ and −ln ½·¼·(1 − 0.5)⁴, over one peak."""
    target = torch.tensor([[[[1.0, 0.5]]]])
    loss = heatmap_focal(torch.zeros(1, 1, 1, 2), target, torch.tensor([[[False, ignored]]])).here()
    assert loss.item() == pytest.approx(-math.log(0.5) * 0.25 * (1 + near))


def test_focal_is_finite_at_certain_logits_and_without_peaks() -> None:
    logits = torch.tensor([[[[1e4, -1e4]]]], requires_grad=True)
    loss = heatmap_focal(logits, torch.tensor([[[[0.0, 0.0]]]])).here()
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(-math.log(1e-4) * (1 - 1e-4) ** 2, rel=1e-3)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_laplace_by_hand() -> None:
    """1.4142·e^(−½)·3 + ½ in the only valid cell; the other is ignored, gradient included."""
    u = torch.tensor([[[1.0, 5.0]]], requires_grad=True)
    mask = torch.tensor([[[True, False]]])
    loss = laplace(torch.tensor([[[10.0, 0.0]]]), torch.tensor([[[7.0, 9.0]]]), u, mask).here()
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(1.4142 * math.exp(-0.5) * 3 + 0.5)
    assert u.grad is not None
    assert u.grad[0, 0, 1].item() == 0


def test_an_axis_alone_is_as_well_met_by_the_opposite_heading() -> None:
    heading = torch.zeros(2, 24)
    heading[:, 1] = 30.0  # sure of bin 1; bin 7 is its opposite
    heading[:, [12 + 1, 12 + 7]] = 0.25
    bins, residual = torch.tensor([7, 7]), torch.tensor([0.25, 0.25])
    for axis_only, expected in ((True, 0.0), (False, 30.0)):
        found = heading_loss(heading, bins, residual, torch.tensor([axis_only] * 2), torch.ones(2))
        assert found[0].here().item() == pytest.approx(expected, abs=1e-4)
        assert found[1].here().item() == pytest.approx(0.0, abs=1e-6)


def test_boxes_count_by_their_weight() -> None:
    found = mean_l1(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), torch.zeros(2, 2), torch.tensor([1.0, 0.5])).here()
    assert found.item() == pytest.approx((4 + 0.5 * 10) / (1.5 * 2))


@pytest.mark.parametrize("published", [True, False])
def test_q11_without_any_depth_cell(published: bool) -> None:
    """Published: the depth term is NaN. Corrected: the instance part alone. With cells both are the same."""
    t = fakes.targets(2)
    out = fakes.output(t, 1, leaves=True)
    assert values(out, t, nan_without_depth=published)["depth"] == values(out, t)["depth"]
    t.vis_depth_m[:] = 0
    depth = values(out, t, nan_without_depth=published)["depth"]
    assert math.isnan(depth.item()) == published
    if not published:
        target = rows(t.depth_m, trained_slots(t.mask_2d, len(out.rois.cell)))[:, None, None].expand(-1, 7, 7)
        ins = laplace(out.roi.ins_depth_m, target, out.roi.ins_log_uncertainty, torch.ones_like(target))
        assert depth.item() == pytest.approx(ins.here().item())


def test_a_batch_without_objects_is_all_zero_but_for_the_heatmap() -> None:
    t = fakes.targets(2)
    t.mask_2d[:] = False
    terms = values(fakes.output(t, 1, leaves=True), t)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert [value.item() for name, value in terms.items() if name != "seg"] == [0.0] * 6


def test_terms_are_single_precision_for_half_outputs() -> None:
    t = fakes.targets(2)
    out = fakes.output(t, 1)
    exact = values(out, t)
    for name in ("heatmap", "offset_2d", "size_2d"):
        setattr(out, name, getattr(out, name).bfloat16())
    for name in RoiOutput.__dataclass_fields__:
        setattr(out.roi, name, getattr(out.roi, name).bfloat16())
    for name, value in values(out, t).items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.02)
