"""Training steps at the published size (384×1280, DLA-34): losses, time phase by phase, peak memory.

    python benchmarks/full_size.py [KITTI_ROOT]                  the table: methods, behaviours, precisions, batch 2
    python benchmarks/full_size.py [KITTI_ROOT] --method monoskd [--precision bf16] [--phases] …   one row of it

Every row is a process of its own on the same frames, with the optimiser and precision of the training stages. The
total loss of the steps must be finite and fall. Times are medians over steps, the first left out. Peak memory is the
process's largest resident size during the steps, interpreter and libraries included (on CUDA: what torch allocated).
Phases are timed in further steps with a wait for the device at each border.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from monokd.depth.folder import densify_folder
from monokd.distill import methods, student
from monokd.distill.methods import METHODS, DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.models.detector import build_detector, feature_channels
from monokd.models.outputs import DetectorOutput, RoiOutput
from monokd.params import Params
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.devices import replicas_of, start
from monokd.training.schedule import build_optimiser
from monokd.training.steps import targets_of, trained_rois

ROOT = Path(__file__).resolve().parents[1]
TABLE = (
    ("monodistill", "published", "32"),
    ("monoasd", "published", "32"),
    ("monoskd", "published", "32"),
    ("monoskd", "corrected", "32"),
    ("monoskd", "published", "bf16"),
    ("monoskd", "corrected", "bf16"),
)
LEARNING_RATE = 1e-4
MIB = 2**20


def main() -> None:
    options = parsed()
    if not options.root.is_dir():
        message = f"full_size: needs frames in KITTI's layout, found none in {options.root}"
        sys.exit(message) if options.method else print(message)
    elif options.method is None:
        for method, behaviour, precision in TABLE:
            command = [sys.executable, __file__, *sys.argv[1:], "--method", method, "--behaviour", behaviour]
            subprocess.run([*command, "--precision", precision, "--phases"], check=True)
    else:
        row = measure(options)
        tell(row)
        if options.out:
            write_json(options.out, row)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "root", nargs="?", type=Path, default=os.environ.get("MONOKD_KITTI", ROOT.parent / "shared/kitti")
    )
    parser.add_argument("--depth", type=Path, help="dense depth PNGs; made on the spot without")
    parser.add_argument("--method", choices=tuple(METHODS), help="measure this one only")
    parser.add_argument("--behaviour", choices=("published", "corrected"), default="published")
    parser.add_argument("--precision", choices=("32", "tf32", "bf16"), default="32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", choices=("yes", "no"), default="yes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--channels", type=float, default=1.0, help="of the network, × the published ones")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--phases", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    options.root = Path(options.root)
    return options


def tell(row: dict[str, Any]) -> None:
    """Print what `measure` found."""
    totals = row["totals"]
    falling = all(later < earlier for earlier, later in pairwise(totals))
    print(
        f"{row['method']:12}{row['behaviour']:10}{row['precision']:5} {' '.join(f'{total:8.2f}' for total in totals)}  "
        f"finite {all(map(math.isfinite, totals))}  falling {falling}  {row['step_s']:.3f} s a step, "
        f"{row['images_per_s']:.2f} images a second, peak {row['peak_mib']:.0f} MiB",
        flush=True,
    )
    for title in ("phases_ms", "terms_ms"):
        for name, ms in row.get(title, {}).items():
            print(f"    {name:36}{ms:10.1f} ms  {ms / 10 / row['step_s']:5.1f} %")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Losses, time and memory of one configuration."""
    fabric = start(accelerator=options.device, precision="bf16-mixed" if options.precision == "bf16" else "32", seed=0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    step = build_step(options, fabric)
    optimiser = build_optimiser(step, kind="adam", learning_rate=LEARNING_RATE, weight_decay=1e-5)
    if options.compile:
        step.compile()
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    data_s, batch = batch_of(options)
    batch = batch.to(fabric.device)
    with peak_mib(options.device) as peak:
        totals, seconds = train(step, wrapped, wrapped_optimiser, batch, fabric, options.steps)
    row: dict[str, Any] = {
        "method": options.method, "behaviour": options.behaviour, "precision": options.precision,
        "compile": options.compile, "channels_last": options.channels_last, "batch": options.batch,
        "totals": totals, "step_s": seconds,
        "images_per_s": options.batch / seconds, "peak_mib": peak[0],
    }  # fmt: skip
    if options.phases and not options.compile:
        row["phases_ms"] = {"data (made here, no workers)": 1e3 * data_s}
        row["phases_ms"] |= phases(step, wrapped, wrapped_optimiser, batch, fabric)
        row["terms_ms"] = terms(step, batch, fabric)
    return row


def build_step(options: argparse.Namespace, fabric: Any) -> DistillationStep:
    """The student's step of the training stage, with fresh weights."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"behaviour": options.behaviour}
    quirks = Params.model_validate(tree).resolved_quirks()
    both = [build_detector(options.channels, quirks=quirks) for _ in range(2)]
    step = DistillationStep(
        both[0],
        both[1].to(fabric.device),
        distillation(options.method, quirks, options.channels),
        teacher_train_mode=quirks.teacher_train_mode,
        nan_without_depth=quirks.nan_without_depth,
        replicas=replicas_of(fabric),
    ).train()
    if options.channels_last == "yes":
        step.arrange(torch.channels_last)
    return step


def distillation(method: str, quirks: Quirks, width: float) -> DistillationLoss:
    channels = feature_channels(width)
    return DistillationLoss(
        METHODS[method],
        student_channels=channels,
        backbone_channels=channels,
        rank="teacher" if quirks.rank_teacher_only else "both",
        unclipped_masks=quirks.unclipped_masks,
        running_level_sums=quirks.running_level_sums,
        trainable_teacher_side=quirks.trainable_teacher_side,
    )


def batch_of(options: argparse.Namespace) -> tuple[float, Batch]:
    """The first frames that have a car to train on, again from the start if they are few, and the seconds they took."""
    root, settings = KittiFolder(options.root), InputSettings(options.height, options.width)
    with tempfile.TemporaryDirectory() as name:
        depth = options.depth or Path(name)
        chosen = [frame for frame in root.frames() if "Car" in root.label(frame).read_text()][: options.batch]
        if options.depth is None:
            densify_folder(root, depth, chosen, workers=1)
        frames = Frames(root, chosen, settings, depth_dir=depth, labels=True)
        frames[0, 0]  # compiled code is loaded
        began = time.perf_counter()
        batch = collate([frames[0, index % len(chosen)] for index in range(options.batch)])
        return time.perf_counter() - began, batch


def train(
    step: DistillationStep, wrapped: Any, optimiser: Any, batch: Batch, fabric: Any, steps: int
) -> tuple[list[float], float]:
    """Totals of every step, and the median seconds of one."""
    totals, times = [], []
    for _ in range(steps):
        wait(batch)
        began = time.perf_counter()
        total = loss_of(step, wrapped(batch))
        fabric.backward(total)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        wait(batch)
        times.append(time.perf_counter() - began)
        totals.append(float(total.detach()))
    return totals, median(times[1:] or times)


def loss_of(step: DistillationStep, found: dict[str, Tensor]) -> Tensor:
    return torch.stack([step.distillation.weights.get(name, 1.0) * term for name, term in found.items()]).sum()


def phases(
    step: DistillationStep, wrapped: Any, optimiser: Any, batch: Batch, fabric: Any, steps: int = 3
) -> dict[str, float]:
    """Median milliseconds of every phase of a step; of the terms the forward part."""
    clock = Clock(batch)
    for name, module in step.distillation.named_children():
        clock.watch_module(module, "adapters" if name.startswith("adapt") else name)
    clock.watch_module(step.student, "student forward")
    clock.watch_module(step.teacher, "teacher forward")
    for owner, function in (
        (student, "detection_terms"), (methods, "head_terms"), (methods, "spearman_loss"),
        (methods, "affinity_loss"), (methods, "foreground_loss"),
    ):  # fmt: skip
        clock.watch_function(owner, function)
    for _ in range(steps):
        total = loss_of(step, wrapped(batch))
        with clock.timed("backward"):
            fabric.backward(total)
        with clock.timed("optimiser"):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    return clock.done(steps)


class Clock:
    """Milliseconds by name, with a wait for the device at every border."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.ms: dict[str, list[float]] = defaultdict(list)
        self.undo: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        wait(self.batch)
        began = time.perf_counter()
        yield
        wait(self.batch)
        self.ms[name].append(1e3 * (time.perf_counter() - began))

    def watch_module(self, module: nn.Module, name: str) -> None:
        forward = module.forward

        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self.timed(name):
                return forward(*arguments, **keywords)

        module.forward = timed
        self.undo.append(lambda: module.__dict__.pop("forward"))

    def watch_function(self, owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self.timed(f"{name}, forward"):
                return function(*arguments, **keywords)

        setattr(owner, name, timed)
        self.undo.append(lambda: setattr(owner, name, function))

    def done(self, steps: int) -> dict[str, float]:
        """The median step's milliseconds by name; what was watched is as before."""
        for undo in self.undo:
            undo()
        parts = {name: len(times) // steps for name, times in self.ms.items()}
        return {
            name: median(sum(times[i * parts[name] : (i + 1) * parts[name]]) for i in range(steps))
            for name, times in self.ms.items()
            if parts[name]
        }


def terms(step: DistillationStep, batch: Batch, fabric: Any, repeats: int = 3) -> dict[str, float]:
    """Median milliseconds of each distillation term alone, forward and backward to the network's outputs.

    Terms that share adapters count them each.
    """
    rois = trained_rois(batch)
    with torch.no_grad(), fabric.autocast():
        made = step.student(batch.input("image"), batch.P2, batch.coord_range_px, rois)
        taught = step.teacher(batch.input("depth"), batch.P2, batch.coord_range_px, rois)
    whole, times = step.distillation, {}
    for name in whole.weights:
        kept, whole.weights = whole.weights, {name: 1.0}
        own = leaves(made)
        seconds = []
        for _ in range(repeats + 1):
            wait(batch)
            began = time.perf_counter()
            with fabric.autocast():
                total = whole.weighted_sum(whole(own, taught, targets_of(batch)))
            torch.autograd.backward(total)
            wait(batch)
            seconds.append(time.perf_counter() - began)
        whole.weights = kept
        times[f"{name} alone, forward and backward"] = 1e3 * median(seconds[1:])
    step.zero_grad(set_to_none=True)
    return times


def leaves(output: DetectorOutput) -> DetectorOutput:
    """The same numbers without history, to take gradients for."""

    def leaf(value: Tensor) -> Tensor:
        return value.detach().requires_grad_()

    roi = RoiOutput(*(leaf(getattr(output.roi, field.name)) for field in fields(RoiOutput)))
    backbone, fused = (tuple(map(leaf, maps)) for maps in (output.backbone, output.fused))
    offset_2d, size_2d = leaf(output.offset_2d), leaf(output.size_2d)
    return replace(output, roi=roi, offset_2d=offset_2d, size_2d=size_2d, backbone=backbone, fused=fused)


def wait(batch: Batch) -> None:
    if batch.P2.is_cuda:
        torch.cuda.synchronize()


@contextlib.contextmanager
def peak_mib(device: str) -> Iterator[list[float]]:
    """A list that holds the peak memory in MiB once the block is left."""
    found: list[float] = []
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is resident
    yield found
    if device == "cuda":
        found.append(torch.cuda.max_memory_allocated() / MIB)
    else:
        status = Path("/proc/self/status").read_text()
        found.append(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024)


if __name__ == "__main__":
    main()
