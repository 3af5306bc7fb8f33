"""The backbone's shapes, what trains in it, its initialisation."""

from __future__ import annotations

import pytest
import torch

from monokd.models.dla import DLA34, BasicBlock, Tree, scaled_channels


def small() -> DLA34:
    return DLA34([scaled_channels(c, 0.25) for c in (16, 32, 64, 128, 256, 512)])


def test_strides_and_channels() -> None:
    maps = small()(torch.randn(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (2, 8, 64, 96),
        (2, 8, 32, 48),
        (2, 16, 16, 24),
        (2, 32, 8, 12),
        (2, 64, 4, 6),
        (2, 128, 2, 3),
    ]


def test_every_trainable_tensor_gets_a_gradient() -> None:
    """Tensors that only keep their place in the published layout must not be handed to an optimiser or to DDP."""
    backbone = small()
    backbone(torch.randn(1, 3, 64, 64))[-1].sum().backward()
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    frozen = {".".join(n.split(".")[:-1]) for n, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {"fc", *(f"level{i}.project.{j}" for i in (3, 4) for j in (0, 1))}


def test_tree_joins_what_the_paper_draws() -> None:
    """A tree of two levels with level_root feeds its last root both blocks, the pooled input and the first subtree."""
    tree = Tree(2, 8, 16, stride=2, level_root=True)
    assert isinstance(tree.tree2, Tree)
    assert tree.tree2.root.conv.in_channels == 2 * 16 + 8 + 16
    x = torch.randn(1, 8, 8, 8)
    tree.eval()
    pooled = torch.nn.functional.max_pool2d(x, 2)
    first = tree.tree1(x)
    one = tree.tree2.tree1(first)
    expected = tree.tree2.root([tree.tree2.tree2(one), one, pooled, first])
    torch.testing.assert_close(tree(x), expected)


def test_block_adds_the_residual_that_it_is_given() -> None:
    block = BasicBlock(8, 8).eval()
    with torch.no_grad():
        block.bn2.weight.zero_()
    x, residual = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(block(x), x.relu())
    torch.testing.assert_close(block(x, residual), residual.relu())


def test_initialisation_keeps_the_variance_of_the_gradient() -> None:
    """He's normal initialisation over the fan-out, as published."""
    torch.manual_seed(0)
    weight = DLA34().level5.tree2.get_submodule("conv1").get_parameter("weight")
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
