"""Two processes against one at the same global batch: losses, gradients, and weights after a few steps.

    python benchmarks/processes.py [--steps 5] [--methods teacher baseline monodistill monoskd monoasd]
        [--behaviours corrected published] [--data ROOT]

Starts two gloo processes on the CPU through torchrun, as `launch: torchrun --nproc-per-node=2` does; both sides train
on the same frames from the same weights, by gradient descent (Adam turns the rounding of a gradient near 0 into a step
of full length). In the first batch one process's share has no object. `corrected` synchronises batch normalisation;
`published` gives each process a chunk of its own, which the one process computes one after the other (quirk Q5).

The table has the largest difference over the steps: of a loss, relative to its value; of the gradient and, after the
last step, of weights and running statistics, |Δ| / |·| over all of them. Several steps run in float64, every cast to
float32 lifted, for rounding to float32 grows to per cents within two steps of a fresh network, and would hide a fault
as large. One step runs in float32. More than 1e-5 in a loss or a float64 gradient, or 1e-3 in a float32 gradient, ends
with exit status 1.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from full_size import StepSettings, build_step
from lightning_fabric import Fabric
from measure import environment, make_frames, show
from torch import Tensor

from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.kitti.splits import split_frames
from monokd.params import PUBLISHED_WEIGHTS
from monokd.quirks import Quirks
from monokd.samples.augment import Augmentation
from monokd.samples.batch import Batch
from monokd.samples.dataset import Frame, Frames, InputSettings
from monokd.samples.loader import EpochLoader
from monokd.samples.order import EpochBatches, epoch_order
from monokd.training.batch_norm import synchronise
from monokd.training.devices import neighbours, start

STEPS = ("teacher", "baseline", *PUBLISHED_WEIGHTS)
LOSS_LIMIT, GRADIENT_LIMITS = 1e-5, {torch.float64: 1e-5, torch.float32: 1e-3}
BATCH, RATE = 4, 1e-4
TINY = StepSettings(height_px=64, width_px=128, width=0.125, channels_last=False)
Key = tuple[str, str, torch.dtype]


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
        torch.save(results, args.worker / f"{os.environ['RANK']}.pt")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = args.data or Path(name)
        if args.data is None:
            make_frames(folder / "demo", folder / "depth", 8, width_px=416, height_px=128)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
        command += ["--steps", str(args.steps), "--data", str(folder), "--methods", *args.methods]
        command += ["--behaviours", *args.behaviours, "--worker", name]
        with subprocess.Popen(command, env=environment()) as process:
            one = trained(folder, args.methods, args.behaviours, args.steps)
        if process.returncode:
            sys.exit("processes: the two processes failed")
        sys.exit(compare(one, torch.load(Path(name) / "0.pt", weights_only=True)))


def compare(one: dict[Key, Any], two: dict[Key, Any]) -> int:
    """Print the table; 1 if anything differs too much."""
    rows, failed = [], 0
    for (method, behaviour, dtype), single in one.items():
        both = two[method, behaviour, dtype]
        steps = list(zip(single["steps"], both["steps"], strict=True))
        losses = max(
            abs(b["losses"][name] - value) / max(abs(value), 1e-3)
            for a, b in steps
            for name, value in a["losses"].items()
        )
        gradient = max(relative(b["gradient"], a["gradient"]) for a, b in steps)
        row = {"": f"{method} {behaviour}", "numbers": str(dtype).removeprefix("torch."), "steps": len(steps)}
        row |= {"losses": losses, "gradient": gradient, "weights": relative(both["weights"], single["weights"])}
        rows.append(row)
        failed |= not (losses <= LOSS_LIMIT and gradient <= GRADIENT_LIMITS[dtype])
    show("two processes against one, relative differences", rows)
    return failed


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def trained(folder: Path, methods: list[str], behaviours: list[Any], steps: int) -> dict[Key, Any]:
    """By method, behaviour and precision, losses and gradients of every step and the last weights."""
    torch.set_num_threads(1)
    fabric = start(TINY.machine, 0)
    results = {}
    for method, behaviour in itertools.product(methods, behaviours):
        for dtype, count in ((torch.float32, 1), (torch.float64, steps)):
            with patch.object(Tensor, "float", Tensor.double) if dtype == torch.float64 else nullcontext():
                results[method, behaviour, dtype] = run(fabric, folder, method, behaviour, count, dtype)
    return results


def run(fabric: Fabric, folder: Path, method: str, behaviour: Any, count: int, dtype: torch.dtype) -> dict[str, Any]:
    """Train one method for some steps."""
    processes, quirks = neighbours(fabric, fabric.world_size), Quirks.of(behaviour)
    torch.manual_seed(0)
    settings = replace(TINY, method=method if method in PUBLISHED_WEIGHTS else "none", behaviour=behaviour)
    step = build_step(settings, fabric.device, processes, "depth" if method == "teacher" else "image").to(dtype)
    if fabric.world_size > 1 and not quirks.per_replica_normaliser:
        synchronise(step, processes.sum, cuda=False)
    if isinstance(step, DistillationStep):
        step.teacher.to(dtype)
    optimiser = torch.optim.SGD([p for p in step.parameters() if p.requires_grad], lr=RATE)
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    wrapped.train()
    steps = []
    for chunks in batches(folder, count, fabric, quirks):
        terms = wrapped([cast(chunk, dtype) for chunk in chunks])
        fabric.backward(torch.stack(list(terms.values())).sum())
        losses = {name: float(processes.sum(term.detach())) / fabric.world_size for name, term in terms.items()}
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()]
        steps.append({"losses": losses, "gradient": torch.cat([gradient.flatten() for gradient in gradients])})
        wrapped_optimiser.step()
        wrapped_optimiser.zero_grad()
    weights = [value.flatten() for value in step.state_dict().values() if value.is_floating_point()]
    return {"steps": steps, "weights": torch.cat(weights)}


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    return batch.each(lambda value: value.to(dtype) if value.is_floating_point() else value)


def batches(folder: Path, steps: int, fabric: Fabric, quirks: Quirks) -> Iterator[list[Batch]]:
    """This process's part of the first steps, in chunks; the first two frames of the first batch keep no object."""
    root = KittiFolder(folder / "demo")
    names = split_frames(folder / "demo", "trainval")
    inputs = InputSettings(TINY.height_px, TINY.width_px, depth_scaled_twice=False)
    frames = SomeEmpty(root, names, inputs, depth_dir=folder / "depth", labels=True, augmentation=Augmentation())
    frames.empty = frozenset(names[i] for i in epoch_order(0, 0, len(names))[: BATCH // 2])
    process = (fabric.global_rank, fabric.world_size)
    pieces = 2 // fabric.world_size if quirks.per_replica_normaliser else 1
    loader = EpochLoader(frames, EpochBatches(len(names), BATCH, seed=0, process=process, chunks=pieces))
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
