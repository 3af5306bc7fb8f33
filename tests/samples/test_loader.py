"""The order of samples and the bits of batches do not depend on workers, processes or where a run resumed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monokd.distill.head import head_cells
from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.samples.batch import Batch, box_cells, collate
from monokd.samples.dataset import Frames
from monokd.samples.loader import EpochBatches, build_loader, epoch_order
from tests.samples.conftest import FRAMES


@pytest.fixture
def frames(small_kitti: KittiFolder) -> Frames:
    depth = small_kitti.folder / "depth"
    return Frames(small_kitti, FRAMES, depth_dir=depth, labels=True, height_px=32, width_px=96, augment=True, seed=5)


def _same(a: Batch, b: Batch) -> bool:
    assert a.depth is not None
    assert b.depth is not None
    assert a.targets is not None
    assert b.targets is not None
    pairs = [(a.image, b.image), (a.depth, b.depth), (a.targets.vis_depth_m, b.targets.vis_depth_m)]
    return a.frames == b.frames and all(torch.equal(left, right) for left, right in pairs)


@given(st.integers(0, 100), st.integers(0, 200), st.integers(1, 50))
@settings(deadline=None)
def test_order_is_a_repeatable_permutation(seed: int, epoch: int, count: int) -> None:
    order = epoch_order(seed, epoch, count)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, epoch_order(seed, epoch, count))


def test_orders_differ() -> None:
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in (0, 1) for epoch in range(5)}
    assert len(orders) == 10


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 40), st.booleans(), st.integers(0, 9))
@settings(deadline=None)
def test_processes_share_each_batch(world: int, each: int, count: int, shuffle: bool, epoch: int) -> None:
    """Step by step the processes' parts, joined in rank order, are the single process's batch."""
    size = world * each
    samplers = [
        EpochBatches(count, size, seed=3, shuffle=shuffle, drop_last=False, rank=rank, world_size=world)
        for rank in range(world)
    ]
    alone = EpochBatches(count, size, seed=3, shuffle=shuffle, drop_last=False)
    for sampler in (*samplers, alone):
        sampler.epoch = epoch
    parts, whole = [list(sampler) for sampler in samplers], list(alone)
    for step, batch in enumerate(whole):
        joined = [key for part in parts for key in (part[step] if step < len(part) else [])]
        assert joined == batch
    assert sorted(index for batch in whole for _, index in batch) == list(range(count))
    assert all(key[0] == epoch for batch in whole for key in batch)


def test_full_batches_only_in_training() -> None:
    sampler = EpochBatches(10, 4, seed=0, shuffle=True, drop_last=True)
    assert [len(batch) for batch in sampler] == [4, 4] == [4] * len(sampler)
    every = EpochBatches(10, 4, seed=0, shuffle=False, drop_last=False)
    assert [len(batch) for batch in every] == [4, 4, 2]
    assert len(every) == 3


def test_resume_from_a_step(frames: Frames) -> None:
    """Steps k, k + 1, … of an epoch are the same whether the epoch starts at 0 or at k; an epoch may be left early."""
    loader = build_loader(frames, batch_size=2, training=True, seed=1)
    whole = list(loader.batches(4))
    assert len(whole) == len(loader) == 3
    list(islice(loader.batches(0), 1))
    rest = list(loader.batches(4, first_batch=1))
    assert len(rest) == 2
    assert all(_same(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_workers_change_nothing(frames: Frames) -> None:
    """One worker process, and two, give the bits of none; an epoch left early does not leak into the next."""
    expected = [batch for epoch in (0, 1) for batch in build_loader(frames, batch_size=2, training=True).batches(epoch)]
    for workers in (1, 2):
        loader = build_loader(frames, batch_size=2, training=True, workers=workers)
        next(loader.batches(7))
        found = [batch for epoch in (0, 1) for batch in loader.batches(epoch)]
        assert all(_same(a, b) for a, b in zip(expected, found, strict=True))


def test_prediction_sees_every_frame_in_order(frames: Frames) -> None:
    loader = build_loader(frames, batch_size=3, training=False)
    assert [name for batch in loader.batches(0) for name in batch.frames] == list(FRAMES)
    dropped = build_loader(frames, batch_size=3, training=False, drop_last=True)
    assert [name for batch in dropped.batches(0) for name in batch.frames] == list(FRAMES[:6])


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_file_is_one_line_from_any_process(small_kitti: KittiFolder, tmp_path: Path, workers: int) -> None:
    frames = Frames(small_kitti, [*FRAMES, "lost"], depth_dir=None, labels=False, height_px=32, width_px=96)
    with pytest.raises(DataError, match=r"image_2/lost\.png: no such image$"):
        list(build_loader(frames, batch_size=4, training=False, workers=workers).batches(0))


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of the 2 processes"):
        EpochBatches(10, 3, seed=0, shuffle=True, drop_last=True, world_size=2)
    with pytest.raises(DataError, match="one full batch of 16 frames, found 12"):
        EpochBatches(12, 16, seed=0, shuffle=True, drop_last=True)


def test_box_cells_hold_every_peak_and_every_compared_cell(frames: Frames) -> None:
    """Both readings of quirk Q9, in ascending order, none twice."""
    targets = collate([frames[0, index] for index in range(4)]).targets
    assert targets is not None
    cells = box_cells(targets)
    assert (cells.diff() > 0).all()
    height, width = targets.heatmap.shape[-2:]
    read = torch.zeros(4 * height * width).index_fill(0, cells, 1.0).view(4, height, width)
    for unclipped in (False, True):
        compared = head_cells(targets, unclipped_masks=unclipped)
        assert ((compared > 0) <= (read > 0)).all()
    frame, slot = targets.mask_2d.nonzero(as_tuple=True)
    assert len(slot) > 0
    assert read.flatten(1)[frame, targets.indices[frame, slot]].all()


def test_collate(frames: Frames) -> None:
    """Samples stack in order; depth has three equal channels; what one sample lacks the batch lacks."""
    samples = [frames[0, 2], frames[0, 0]]
    batch = collate(samples)
    assert batch.frames == (FRAMES[2], FRAMES[0])
    assert batch.image.shape == (2, 3, 32, 96)
    assert batch.depth is not None
    assert batch.depth.shape == (2, 3, 32, 96)
    assert torch.equal(batch.depth[:, 0], batch.depth[:, 2])
    assert batch.targets is not None
    assert batch.targets.heatmap.shape == (2, 3, 8, 24)
    assert batch.targets.object_count.tolist() == [2, 2]
    assert batch.box_cells is not None
    assert torch.equal(batch.box_cells, box_cells(batch.targets))
    moved = batch.to(torch.device("cpu"))
    assert moved.targets is not None
    assert torch.equal(moved.targets.indices, batch.targets.indices)
    plain = Frames(frames.folder, FRAMES, depth_dir=None, labels=False, height_px=32, width_px=96)
    mixed = collate([frames[0, 0], plain[0, 1]])
    assert mixed.depth is None
    assert mixed.targets is None
    with pytest.raises(ValueError, match="at least one sample"):
        collate([])
