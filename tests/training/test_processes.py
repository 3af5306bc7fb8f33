"""Two and four gloo processes train as one, in float64, whose rounding hides nothing; one of them has no objects."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import split_frames
from monokd.losses.task_weights import TaskWeights
from monokd.models.detector import build_detector
from monokd.params import PUBLISHED_WEIGHTS, Behaviour, Machine, Training
from monokd.quirks import Quirks
from monokd.samples.batch import Batch
from monokd.samples.dataset import Frame, Frames, InputSettings
from monokd.samples.loader import EpochLoader
from monokd.samples.order import EpochBatches, epoch_order
from monokd.training.batch_norm import synchronise
from monokd.training.devices import neighbours, start
from monokd.training.loop import FitSettings, fit
from monokd.training.stage import chunking

WIDTH, BATCH = 0.125, 4
WEIGHTS = PUBLISHED_WEIGHTS["monodistill"]
MACHINE = Machine.model_construct(accelerator="cpu", precision="32", tf32=False)


class SomeEmpty(Frames):
    """The first half of the first batch has no object."""

    def _read(self, frame: str) -> Frame:
        read = super()._read(frame)
        empty = [self.frames[i] for i in epoch_order(0, 0, len(self))[: BATCH // 2]]
        none = (
            read.objects.select(np.zeros(len(read.objects), bool)) if read.objects and frame in empty else read.objects
        )
        return replace(read, objects=none)


class Float64(EpochLoader):
    def batches(self, epoch: int) -> Iterator[Batch]:
        for batch in super().batches(epoch):
            yield batch.each(lambda value: value.double() if value.is_floating_point() else value)


def worker(rank: int, count: int, port: int, data: Path, out: Path) -> None:
    """As process `rank` of `count` with a disk of its own, train an epoch, and one more from the saved state."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    torch.set_num_threads(1)
    fabric, root = start(MACHINE, 0), KittiFolder(data / "demo")
    inputs = InputSettings(64, 128, depth_scaled_twice=False)
    frames = SomeEmpty(
        root, split_frames(data / "demo", "train")[:BATCH], inputs, depth_dir=data / "depth", labels=True
    )
    behaviours: tuple[Behaviour, ...] = ("published", "corrected")
    for behaviour in behaviours[: 2 if count < 4 else 1]:
        quirks = Quirks.of(behaviour)
        chunks, sharing = chunking(Training.model_construct(batch_size=BATCH, chunk_frames=2), quirks, count)
        processes, chunk = neighbours(fabric, count), neighbours(fabric, sharing)
        order = EpochBatches(len(frames), BATCH, seed=0, process=(rank, count), chunks=chunks)
        for epochs in (1, 2):
            torch.manual_seed(0)
            student, teacher = (build_detector(WIDTH, quirks=quirks) for _ in range(2))
            channels = student.channels
            loss = DistillationLoss(WEIGHTS, fused_channels=channels, backbone_channels=channels, quirks=quirks)
            step = DistillationStep(student, teacher, loss, quirks=quirks, processes=processes, chunk=chunk)
            if chunk.count > 1:
                for network in step.networks():
                    synchronise(network, chunk.sum, cuda=False)
            with patch.object(Tensor, "float", Tensor.double):
                fit(
                    step.double(),
                    Float64(frames, order),
                    FitSettings("test", epochs, lambda *_: 1e-5, WEIGHTS, chunks=chunks),
                    fabric=fabric,
                    optimiser=torch.optim.SGD([p for p in step.parameters() if p.requires_grad]),
                    tasks=TaskWeights(enabled=False),
                    checkpoint=out / str(rank) / behaviour / "state.pt",
                    history=out / str(rank) / behaviour / "history.csv",
                )  # fmt: skip


def trained(count: int, data: Path, out: Path) -> Path:
    """The folder of the first of `count` processes that have trained."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "lightning_fabric"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=worker, args=(rank, count, port, data, out)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    return out / "0"


@pytest.fixture(scope="module")
def one(tiny_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(1, tiny_workspace / "data", tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_train_as_one_and_go_on_from_what_the_first_of_them_saved(
    tiny_workspace: Path, one: Path, tmp_path: Path, count: int
) -> None:
    """Batch statistics of all, or published chunks: one process's two, a process's own, or shared by two."""
    several = trained(count, tiny_workspace / "data", tmp_path)
    for behaviour in (path.name for path in several.iterdir()):
        rows, expected = (pd.read_csv(of / behaviour / "history.csv") for of in (several, one))
        assert len(rows) == 2
        pd.testing.assert_frame_equal(rows, expected, rtol=1e-7)
        states = [torch.load(of / behaviour / "state.pt", weights_only=True)["step"] for of in (several, one)]
        for name, found, value in ((name, states[0][name], value) for name, value in states[1].items()):
            if found.is_floating_point():
                torch.testing.assert_close(found, value, rtol=1e-6, atol=1e-9, msg=f"{behaviour} {name}")
    assert not list(tmp_path.glob("[1-9]"))
