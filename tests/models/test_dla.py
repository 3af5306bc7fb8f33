"""The backbone's shapes, what trains in it, how its trees join."""

from __future__ import annotations

import torch

from monokd.models.dla import DLA34, BasicBlock, Tree


def test_strides_channels_and_what_trains() -> None:
    """Tensors that only keep their place in the published layout must not be handed to an optimiser or to DDP."""
    backbone = DLA34((8, 8, 16, 32, 64, 128))
    maps = backbone(torch.randn(2, 3, 64, 96))
    shapes = [(8, 64, 96), (8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6), (128, 2, 3)]
    assert [tuple(m.shape) for m in maps] == [(2, *shape) for shape in shapes]
    maps[-1].sum().backward()
    for name, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    frozen = {".".join(n.split(".")[:-1]) for n, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {"fc", *(f"level{i}.project.{j}" for i in (3, 4) for j in (0, 1))}


def test_tree_joins_what_the_paper_draws() -> None:
    """A tree of two levels with level_root feeds its last root both blocks, the pooled input and the first subtree."""
    tree = Tree(2, 8, 16, stride=2, level_root=True).eval()
    assert isinstance(tree.tree2, Tree)
    assert tree.tree2.root.conv.in_channels == 2 * 16 + 8 + 16
    x = torch.randn(1, 8, 8, 8)
    pooled = torch.nn.functional.max_pool2d(x, 2)
    first = tree.tree1(x)
    one = tree.tree2.tree1(first)
    expected = tree.tree2.root(torch.cat([tree.tree2.tree2(one), one, pooled, first], 1))
    torch.testing.assert_close(tree(x), expected)


def test_block_adds_the_residual_that_it_is_given() -> None:
    block = BasicBlock(8, 8).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x, residual = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(block(x), x.relu())
    torch.testing.assert_close(block(x, residual), residual.relu())
