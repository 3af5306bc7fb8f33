"""Maps made again in the backward pass: fewer kept, the same bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monokd.models import rebuilt
from monokd.models.detector import Detector, build_detector
from monokd.models.outputs import Rois

NEVER = 1 << 62


def one_step(detector: Detector, precision: torch.dtype) -> list[Tensor]:
    """Gradients and running statistics after a training step on three frames."""
    g = torch.Generator().manual_seed(1)
    image = torch.randn(3, 3, 64, 96, generator=g)
    rois = Rois(torch.tensor([0, 0, 2]), torch.tensor([40, 100, 7]), torch.tensor([1, 1, 0]))
    crop = torch.tensor([[[0.0, 0.0], [96.0, 64.0]]]).expand(3, 2, 2)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        output = detector.train()(image, torch.eye(3, 4).expand(3, 3, 4), crop, rois)
        parts = (output.heatmap, output.roi.heading, *output.fused, *output.backbone)
        loss = torch.stack([(part.float() ** 2).mean() for part in parts]).sum()
    torch.autograd.backward(loss)
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    return [*gradients, *detector.buffers()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_and_statistics_keep_their_bits(
    monkeypatch: pytest.MonkeyPatch, precision: torch.dtype, channels_last: bool
) -> None:
    found = []
    for large in (0, NEVER):
        monkeypatch.setattr(rebuilt, "LARGE", large)
        torch.manual_seed(0)
        detector = build_detector(0.125)
        if channels_last:
            detector = detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found.append(one_step(detector, precision))
    assert len(found[0]) == len(found[1]) > 100
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def kept_bytes(large: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes of storages that a detector's graph holds after the forward pass, each counted once."""
    monkeypatch.setattr(rebuilt, "LARGE", large)
    held: dict[int, int] = {}

    def count(kept: object) -> None:
        if isinstance(kept, Tensor):
            held[kept.untyped_storage().data_ptr()] = kept.untyped_storage().nbytes()
        elif isinstance(kept, rebuilt._Recipe):
            count(kept.make.args[0])  # type: ignore[attr-defined]
        elif isinstance(kept, list):
            for part in kept:
                count(part)

    keep = rebuilt._Recipes.keep

    def counted(recipes: rebuilt._Recipes, tensor: Tensor) -> object:
        kept = keep(recipes, tensor)
        count(kept)
        return kept

    monkeypatch.setattr(rebuilt._Recipes, "keep", counted)
    torch.manual_seed(0)
    detector = build_detector(0.125).train()
    with rebuilt.rebuilding():
        maps = detector.backbone(torch.randn(1, 3, 64, 96))
        fused = detector.feat_up(maps[2:])
    assert fused[0].requires_grad
    monkeypatch.undo()
    return sum(held.values())


def test_less_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_bytes(0, monkeypatch) < 0.75 * kept_bytes(NEVER, monkeypatch)


def test_nothing_is_kept_without_gradients() -> None:
    with torch.no_grad(), rebuilt.rebuilding():
        assert rebuilt._current() is None


def test_a_view_of_a_map_is_not_taken_for_the_map() -> None:
    """It shares the storage, not the layout."""
    recipes = rebuilt._Recipes()
    whole = torch.zeros(rebuilt.LARGE).view(4, -1)
    recipes.add(whole, lambda: whole + 1)
    assert isinstance(recipes.keep(whole.detach()), rebuilt._Recipe)
    assert isinstance(recipes.keep(whole[1:]), Tensor)
    assert isinstance(recipes.keep(whole.flatten()), Tensor)


def test_the_address_of_a_freed_map_is_not_used_again() -> None:
    """Another map in the same place would get the wrong numbers."""
    recipes = rebuilt._Recipes()
    for number in range(50):
        made = torch.full((rebuilt.LARGE,), float(number))
        assert isinstance(recipes.keep(made), Tensor)
        recipes.add(made, lambda: torch.zeros(()))
        del made


def test_what_is_made_is_held_until_all_had_it() -> None:
    made = []

    def make() -> Tensor:
        made.append(1)
        return torch.ones(2)

    recipe = rebuilt._Recipe(torch.zeros(2), make)
    recipe.uses = 2
    assert recipe.take() is recipe.take()
    assert recipe.made is None
    recipe.take()
    assert len(made) == 2
