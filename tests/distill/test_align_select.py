"""The align-and-select block: shape of its parts, quirks Q14 and Q15 both ways."""

import pytest
import torch
from torch import Tensor

from monokd.distill.align_select import AlignSelect, ConvScan

CHANNELS = (8, 16)


def maps(seed: int, frames: int = 2) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(frames, c, 8 >> i, 16 >> i, generator=g) for i, c in enumerate(CHANNELS)]


def block(**quirks: bool) -> AlignSelect:
    torch.manual_seed(0)
    return AlignSelect(CHANNELS, **quirks)


def test_q14_how_often_a_level_counts() -> None:
    """Levels a and b: published a + (a + b), corrected a + b."""
    student, teacher = maps(1), maps(2)
    published = block(running_level_sums=True)(student, teacher)[0].here().item()
    corrected = block(running_level_sums=False)(student, teacher)[0].here().item()
    single = block()
    single.levels = 1
    first = single(student, teacher)[0].here().item()
    assert published - corrected == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("published", [True, False])
def test_q15_whether_the_teacher_side_moves(published: bool) -> None:
    """Published, its attention and scan get gradients, its output convolution never does, as it feeds no loss."""
    module = block(trainable_teacher_side=published)
    loss, _, _ = module(maps(1), maps(2))
    torch.autograd.backward(loss.here())
    moved = {name.split(".")[0].rsplit("_", 1)[0] for name, p in module.named_parameters() if p.grad is not None}
    attention = module.get_submodule("feat_align_0.tea_attn.conv").weight.grad
    assert ("conv_ssm_tea" in moved, attention is not None) == (published, published)
    assert "conv_ssm_stu" in moved
    assert "conv_tea" not in moved


def test_first_steps_lie_between_a_thousandth_and_a_tenth() -> None:
    steps = torch.nn.functional.softplus(ConvScan(64).dt_proj.bias)
    assert 0.0009 < steps.min().item() < steps.max().item() < 0.11
