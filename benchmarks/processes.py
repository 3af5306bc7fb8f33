"""Two processes against one at the same global batch: losses, gradients, and weights after a few steps.

Starts two gloo processes on the CPU through torchrun, as `launch: torchrun --nproc-per-node=2` does; both sides train
on the same frames from the same weights, by gradient descent (Adam turns the rounding of a gradient near 0 into a step
of full length). In the first batch one process's share has no object. `corrected` synchronises batch normalisation;
`published` gives each process a chunk of its own, which the one process computes one after the other (quirk Q5).

Shown is the largest difference over the steps: of a loss, relative to its value; of the gradient over all parameters,
|Δ| / |gradient|; of weights and running statistics after the last step, |Δ| / |weights|. Several steps run in float64,
every cast to float32 lifted: a first step of a fresh network amplifies the rounding of float32, in which sums over two
halves differ from one sum, to per cents of the second step's gradient, which would hide a fault as large. One step runs
in float32. More than 1e-5 in a loss or a float64 gradient, or 1e-3 in a float32 gradient, ends with exit status 1.

Usage: python benchmarks/processes.py [--steps 5] [--methods teacher baseline monodistill monoskd monoasd]
       [--behaviours corrected published] [--data ROOT]
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from monokd.depth.folder import densify_folder
from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import split_frames
from monokd.losses.means import ALONE, Processes
from monokd.models.detector import build_detector
from monokd.params import PUBLISHED_WEIGHTS, Machine
from monokd.quirks import Quirks
from monokd.samples.augment import Augmentation
from monokd.samples.dataset import Frame, Frames, InputSettings
from monokd.samples.loader import EpochLoader
from monokd.samples.order import Chunks, EpochBatches, epoch_order
from monokd.scenes.generate import generate_scenes
from monokd.scenes.settings import SceneSettings
from monokd.training.batch_norm import synchronise
from monokd.training.devices import all_processes, start
from monokd.training.steps import DetectionStep
from monokd.typing import Modality

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from monokd.samples.batch import Batch

STEPS = ("teacher", "baseline", *PUBLISHED_WEIGHTS)
LOSS_LIMIT, GRADIENT_LIMITS = 1e-5, {"float64": 1e-5, "float32": 1e-3}
WIDTH, BATCH, RATE = 0.125, 4, 1e-4
REST: dict[str, Any] = {"channels_last": False, "compile": False, "sync_batch_norm": True}
REST |= {"workers": 0, "cache_images": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="in float64")
    parser.add_argument("--methods", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--behaviours", nargs="+", default=["corrected", "published"])
    parser.add_argument("--data", type=Path, help="folder with demo/ and depth/; made here without")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        results = trained(args.data, args.methods, args.behaviours, args.steps)
        if int(os.environ["RANK"]) == 0:
            torch.save(results, args.worker)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = args.data or world(Path(name))
        two = Path(name) / "two.pt"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        chosen = ["--steps", str(args.steps), "--data", str(folder), "--methods", *args.methods]
        chosen += ["--behaviours", *args.behaviours]
        with subprocess.Popen(
            [*torchrun, __file__, *chosen, "--worker", str(two)], env=os.environ | {"OMP_NUM_THREADS": "1"}
        ) as process:
            one = trained(folder, args.methods, args.behaviours, args.steps)
        if process.returncode:
            sys.exit("processes: the two processes failed")
        sys.exit(compare(one, torch.load(two)))


def compare(one: dict[tuple[str, str, str], Any], two: dict[tuple[str, str, str], Any]) -> int:
    """Print the table; 1 if anything differs too much."""
    title = "two processes against one, relative differences"
    table = Table("", "", "numbers", "steps", "losses", "gradient", "weights", title=title)
    failed = 0
    for (method, behaviour, numbers), alone in one.items():
        both = two[method, behaviour, numbers]
        steps = list(zip(alone["steps"], both["steps"], strict=True))
        losses = max(
            abs(b["losses"][name] - value) / max(abs(value), 1e-3)
            for a, b in steps
            for name, value in a["losses"].items()
        )
        gradient = max(relative(b["gradient"], a["gradient"]) for a, b in steps)
        weights = relative(both["weights"], alone["weights"])
        failed |= not (losses <= LOSS_LIMIT and gradient <= GRADIENT_LIMITS[numbers])
        table.add_row(
            method, behaviour, numbers, str(len(steps)), *(f"{value:.1e}" for value in (losses, gradient, weights))
        )
    Console().print(table)
    return failed


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def world(folder: Path) -> Path:
    """A few small frames with depth."""
    settings = SceneSettings(train_frames=8, val_frames=1, width_px=416, height_px=128, objects_per_frame=9.0)
    generate_scenes(folder / "demo", settings, seed=3)
    root = KittiFolder(folder / "demo")
    densify_folder(root, folder / "depth", root.frames(), workers=1)
    return folder


def trained(folder: Path, methods: list[str], behaviours: list[str], steps: int) -> dict[tuple[str, str, str], Any]:
    """By method, behaviour and precision, losses and gradients of every step and the last weights."""
    torch.set_num_threads(1)
    fabric = start(Machine(accelerator="cpu", precision="32", **REST), 0)
    results = {}
    for method, behaviour in itertools.product(methods, behaviours):
        quirks = Quirks.of(behaviour)  # type: ignore[arg-type]
        for dtype, count in ((torch.float32, 1), (torch.float64, steps)):
            with patch.object(Tensor, "float", Tensor.double) if dtype == torch.float64 else nullcontext():
                found = run(fabric, method, quirks, batches(folder, count, fabric, quirks), dtype)
            results[method, behaviour, str(dtype).removeprefix("torch.")] = found
    return results


def run(
    fabric: Fabric, method: str, quirks: Quirks, shown: Iterable[list[Batch]], dtype: torch.dtype
) -> dict[str, Any]:
    """Train one method on the batches."""
    processes = all_processes(fabric)
    step = build(method, quirks, processes).to(dtype)
    if fabric.world_size > 1 and not quirks.per_replica_normaliser:
        synchronise(step, processes.sum, cuda=False)
    if isinstance(step, DistillationStep):
        step.teacher.to(dtype)
    optimiser = torch.optim.SGD([p for p in step.parameters() if p.requires_grad], lr=RATE)
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    wrapped.train()
    steps = []
    for chunks in shown:
        terms = wrapped([cast(chunk, dtype) for chunk in chunks])
        fabric.backward(torch.stack(list(terms.values())).sum())
        losses = {name: float(processes.sum(term.detach())) / fabric.world_size for name, term in terms.items()}
        steps.append({"losses": losses, "gradient": gradient(step)})
        wrapped_optimiser.step()
        wrapped_optimiser.zero_grad()
    weights = [value.flatten() for value in step.state_dict().values() if value.is_floating_point()]
    return {"steps": steps, "weights": torch.cat(weights)}


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    def move(value: Tensor) -> Tensor:
        return value.to(dtype) if value.is_floating_point() else value

    return batch.each(move)


def gradient(step: DetectionStep) -> Tensor:
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in step.parameters()])


def build(method: str, quirks: Quirks, processes: Processes) -> DetectionStep:
    torch.manual_seed(0)
    if method in ("teacher", "baseline"):
        modality: Modality = "depth" if method == "teacher" else "image"
        return DetectionStep(
            build_detector(WIDTH, quirks=quirks), modality=modality, quirks=quirks, processes=processes
        )
    student = build_detector(WIDTH, quirks=quirks)
    channels = student.channels
    return DistillationStep(
        student,
        build_detector(WIDTH, quirks=quirks),
        DistillationLoss(PUBLISHED_WEIGHTS[method], fused_channels=channels, backbone_channels=channels, quirks=quirks),
        quirks=quirks,
        processes=processes,
        chunk=ALONE if quirks.per_replica_normaliser else processes,
    )


def batches(folder: Path, steps: int, fabric: Fabric, quirks: Quirks) -> Iterator[list[Batch]]:
    """This process's part of the first steps, in chunks; the first two frames of the first batch keep no object."""
    root = KittiFolder(folder / "demo")
    names = split_frames(folder / "demo", "trainval")
    inputs = InputSettings(64, 128, depth_scaled_twice=False)
    frames = SomeEmpty(root, names, inputs, depth_dir=folder / "depth", labels=True, augmentation=Augmentation())
    frames.empty = frozenset(names[i] for i in epoch_order(0, 0, len(names))[: BATCH // 2])
    rank, processes = fabric.global_rank, fabric.world_size
    pieces = 2 // processes if quirks.per_replica_normaliser else 1
    order = EpochBatches(len(names), BATCH, seed=0, process=(rank, processes))
    loader = EpochLoader(frames, Chunks(order, pieces))
    endless = (batch for epoch in range(steps) for batch in loader.batches(epoch))
    return ([next(endless) for _ in range(pieces)] for _ in range(steps))


class SomeEmpty(Frames):
    """Frames of which those named in `empty` have no object."""

    empty: frozenset[str] = frozenset()

    def _read(self, frame: str) -> Frame:
        read = super()._read(frame)
        if frame not in self.empty or read.objects is None:
            return read
        return replace(read, objects=read.objects.select(np.zeros(len(read.objects.names), bool)))


if __name__ == "__main__":
    main()
