"""The order of samples depends on (seed, epoch) alone, and processes share each batch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.errors import DataError
from monokd.samples.order import EpochBatches, MixedBatches, epoch_order


def test_orders_are_repeatable_permutations_that_differ() -> None:
    keys = [(seed, epoch, 20, part) for seed in (0, 1) for epoch in range(5) for part in (0, 1)]
    orders = [tuple(epoch_order(*key).tolist()) for key in keys]
    assert orders == [tuple(epoch_order(*key).tolist()) for key in keys]
    assert len(set(orders)) == 20
    assert all(sorted(order) == list(range(20)) for order in orders)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(12, 40), st.sampled_from([3, None]), st.integers(0, 9))
@settings(deadline=None)
def test_processes_share_each_batch(world: int, each: int, count: int, seed: int | None, epoch: int) -> None:
    """Step by step the processes' parts, joined in rank order, are the single process's batch."""
    size = world * each
    orders = [EpochBatches(count, size, seed=seed, process=(rank, world)) for rank in range(world)]
    one = EpochBatches(count, size, seed=seed)
    for order in (*orders, one):
        order.epoch = epoch
    parts, whole = [list(order) for order in orders], list(one)
    for step, batch in enumerate(whole):
        joined = [key for part in parts for key in (part[step] if step < len(part) else [])]
        assert joined == batch
    seen = [index for batch in whole for _, index in batch]
    assert len(set(seen)) == len(seen) == (count if seed is None else count // size * size)
    assert seed is not None or seen == list(range(count))
    assert all(key[0] == epoch for batch in whole for key in batch)


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the 2 processes"):
        EpochBatches(10, 3, seed=0, process=(0, 2))
    with pytest.raises(DataError, match="one full batch of 16 frames, found 12"):
        EpochBatches(12, 16, seed=0)
    with pytest.raises(DataError, match="frames for 2 of each batch of 4, found none"):
        MixedBatches((3, 0), 4, share=0.5, steps=1, seed=0)
    MixedBatches((3, 0), 4, share=0.0, steps=1, seed=0)


@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 3), st.floats(0, 1), st.integers(0, 3))
@settings(deadline=None)
def test_a_mixed_batch_has_a_fixed_share_of_each_set(
    first: int, second: int, world: int, share: float, epoch: int
) -> None:
    """Of every batch as many frames of the second set; the processes' parts, even to one frame, make up the batch."""
    size, steps = 2 * world, 5
    one = MixedBatches((first, second), size, share=share, steps=steps, seed=1)
    orders = [
        MixedBatches((first, second), size, share=share, steps=steps, seed=1, process=(rank, world))
        for rank in range(world)
    ]
    for order in (one, *orders):
        order.epoch = epoch
    assert len(list(one)) == len(one) == steps
    for whole, *parts in zip(one, *orders, strict=True):
        chosen = [sum(index >= first for _, index in batch) for batch in (whole, *parts)]
        assert chosen[0] == round(share * size)
        assert max(chosen[1:]) - min(chosen[1:]) <= 1
        assert sorted(key for part in parts for key in part) == sorted(whole)
        assert {len(part) for part in parts} == {2}


def test_each_set_is_used_up_before_it_repeats() -> None:
    """Three frames at two a batch: every pass of three draws has all three, across batches and epochs."""
    order = MixedBatches((3, 5), 4, share=0.5, steps=2, seed=7)
    keys = []
    for epoch in range(3):
        order.epoch = epoch
        keys += [key for batch in order for key in batch]
    first, second = ([key for key in keys if (key[1] >= 3) == late] for late in (False, True))
    assert [number for number, _ in first] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert all(sorted(index for _, index in first[i : i + 3]) == [0, 1, 2] for i in (0, 3, 6, 9))
    assert all(sorted(index for _, index in second[i : i + 5]) == [3, 4, 5, 6, 7] for i in (0, 5))
    order.epoch = 1
    assert [key for batch in order for key in batch] == keys[8:16]


def test_a_mixed_batch_is_cut_alike_by_processes_and_by_chunks() -> None:
    """Quirk Q5: a chunk holds the same frames whoever computes it, and its share of both sets."""
    chunks = list(MixedBatches((10, 20), 16, share=0.5, steps=3, seed=0, chunks=4))
    by_process = [list(MixedBatches((10, 20), 16, share=0.5, steps=3, seed=0, process=(rank, 4))) for rank in range(4)]
    for step in range(3):
        assert [chunks[4 * step + rank] for rank in range(4)] == [own[step] for own in by_process]
        assert all(sum(index >= 10 for _, index in chunk) == 2 for chunk in chunks[4 * step : 4 * step + 4])
