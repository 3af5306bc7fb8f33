"""The bits of batches do not depend on workers; failures of files and of workers are one line."""

import os
import signal

import pytest
import torch

from monokd.errors import DataError
from monokd.kitti.frames import KittiFolder
from monokd.samples.augment import Augmentation
from monokd.samples.batch import Batch, tensors_of
from monokd.samples.dataset import Frames, InputSettings, JoinedFrames
from monokd.samples.loader import EpochLoader, build_loader, copied_ahead, loader_workers
from monokd.samples.order import EpochBatches, MixedBatches
from tests.samples.conftest import FRAMES, same

SMALL = InputSettings(32, 96)


@pytest.fixture
def frames(small_kitti: KittiFolder) -> Frames:
    depth = small_kitti.folder / "depth"
    return Frames(small_kitti, FRAMES, SMALL, depth_dir=depth, labels=True, augmentation=Augmentation(5))


def test_workers_change_nothing(frames: Frames) -> None:
    """One worker process, and two, give the bits of none; an epoch left early does not leak into the next."""
    order = EpochBatches(len(frames), 2, seed=0)
    expected = [batch for epoch in (0, 1) for batch in EpochLoader(frames, order).batches(epoch)]
    for workers in (1, 2):
        loader = EpochLoader(frames, order, workers=workers)
        next(loader.batches(7))
        found = [batch for epoch in (0, 1) for batch in loader.batches(epoch)]
        assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_two_sets_in_one_batch(small_kitti: KittiFolder, frames: Frames) -> None:
    """Frames of the second set are spread over every batch, and come from their own source."""
    second = Frames(small_kitti, FRAMES[:2], SMALL, depth_dir=frames.depth_dir, labels=True)
    both = JoinedFrames(frames, second)
    assert len(both) == 9 == len(both.frames)
    order = MixedBatches((len(frames), len(second)), 3, share=1 / 3, steps=4, seed=0)
    batches = list(EpochLoader(both, order).batches(2))
    assert [len(batch.frames) for batch in batches] == [3] * 4
    assert {batch.frames[1] for batch in batches} == set(FRAMES[:2])
    first = next(iter(order))[1]
    assert torch.equal(batches[0].inputs["image"][1], second[0, first[1] - 7].inputs["image"])


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_file_is_one_line_from_any_process(small_kitti: KittiFolder, workers: int) -> None:
    frames = Frames(small_kitti, [*FRAMES, "lost"], SMALL)
    with pytest.raises(DataError, match=r"image_2/lost\.png: no such image$"):
        list(build_loader(frames, batch_size=4, workers=workers).batches(0))


class Dying(Frames):
    """Frames whose reading ends a worker, by a signal or by torch's message."""

    way: signal.Signals | str
    parent = os.getpid()

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        if os.getpid() != self.parent:
            if isinstance(self.way, str):
                raise RuntimeError(self.way)
            os.kill(os.getpid(), self.way)
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (signal.SIGKILL, r"^a worker process that reads frames was killed \(out of memory\?\); run again$"),
        (signal.SIGBUS, r"^/dev/shm: .*shared memory is full .*--shm-size\)$"),
        ("unable to write to file </torch_1>: No space left on device (28)", r"^/dev/shm: .*shared memory is full"),
    ],
)
def test_the_death_of_a_worker_is_one_line(small_kitti: KittiFolder, way: signal.Signals | str, reason: str) -> None:
    frames = Dying(small_kitti, FRAMES, InputSettings(384, 1280))
    frames.way = way
    with pytest.raises(DataError, match=reason):
        list(build_loader(frames, batch_size=2, workers=1).batches(0))


def test_an_error_in_a_worker_keeps_its_name(small_kitti: KittiFolder) -> None:
    frames = Dying(small_kitti, FRAMES, InputSettings(384, 1280))
    frames.way = "a mistake in the code"
    with pytest.raises(RuntimeError, match="a mistake in the code"):
        list(build_loader(frames, batch_size=2, workers=1).batches(0))


def test_workers_by_cores() -> None:
    """A setting is at most the cores; −1 leaves one core to the training and stops at 16."""
    assert [loader_workers(setting, 4) for setting in (0, 3, 8, -1)] == [0, 3, 4, 3]
    assert [loader_workers(-1, cores) for cores in (1, 2, 17, 64)] == [1, 1, 16, 16]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_arrive_on_the_device(frames: Frames) -> None:
    device = torch.device("cuda")
    plain = list(build_loader(frames, batch_size=2).batches(0))
    found = list(copied_ahead((batch.pin_memory() for batch in plain), device))
    assert all(tensor.is_cuda for batch in found for tensor in tensors_of(batch))
    assert all(same(a, b.to(torch.device("cpu"))) for a, b in zip(plain, found, strict=True))
