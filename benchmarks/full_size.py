"""Training steps at the published size (384×1280, DLA-34): losses, time phase by phase, peak memory.

    python benchmarks/full_size.py [KITTI_ROOT] [--batch 2] [--steps 4] [--out FILE.json]

Every row is a process of its own on the same frames, with the optimiser, precision and deterministic kernels of the
training stages. The total loss of the steps must be finite and fall. Times are medians over steps, the first left out.
Phases are timed in further steps with a wait for the device at each border; what is left of the forward pass are the
detection terms.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from measure import ROOT, Row, apart, in_turns, kitti_folder, peak_mib, show, wait
from torch import nn

from monokd.depth.folder import densify_folder
from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.losses.means import ALONE, Processes
from monokd.models.detector import build_detector, feature_channels
from monokd.models.neck import Upsampling
from monokd.params import PUBLISHED_WEIGHTS, Behaviour, Machine, load_params
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.devices import all_processes, start
from monokd.training.schedule import build_optimiser
from monokd.training.steps import DetectionStep

if TYPE_CHECKING:
    from lightning_fabric import Fabric

METHODS = ("none", *PUBLISHED_WEIGHTS)
CHUNK_FRAMES = 4  # of the published behaviour


@dataclass(frozen=True, slots=True)
class StepSettings:
    """One configuration of a training step; the names are those of params.yaml."""

    method: str = "monoskd"
    behaviour: Behaviour = "corrected"
    precision: str = "32"
    tf32: bool = False
    channels_last: bool = True
    compile: bool = False
    upsampling: Upsampling = "transposed"
    batch: int = 2
    height_px: int = 384
    width_px: int = 1280
    width: float = 1.0
    device: str = "cpu"
    steps: int = 4

    @property
    def machine(self) -> Machine:
        """What a training stage would read."""
        own = {"accelerator": self.device, "precision": self.precision, "tf32": self.tf32, "compile": self.compile}
        return load_params(ROOT / "params.yaml").profiles["kitti"].machine.model_copy(update=own)


ROWS = [
    *(StepSettings(method, "published") for method in PUBLISHED_WEIGHTS),
    StepSettings(),
    StepSettings(channels_last=False),
    StepSettings(precision="bf16-mixed"),
    StepSettings(behaviour="published", precision="bf16-mixed"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=kitti_folder())
    parser.add_argument("--depth", type=Path, help="dense depth PNGs; made on the spot without")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    if not options.root.is_dir():
        print(f"full_size: needs frames in KITTI's layout, found none in {options.root}")
        return
    with tempfile.TemporaryDirectory() as name:
        depth = options.depth or Path(name)
        if options.depth is None:
            densify_folder(KittiFolder(options.root), depth, with_cars(KittiFolder(options.root))[:8], workers=1)
        rows = []
        for settings in ROWS:
            rows.append(
                apart(measure, replace(settings, batch=options.batch, steps=options.steps), options.root, depth)
            )
            totals = rows[-1]["totals"]
            falling = all(b < a for a, b in itertools.pairwise(totals)) and all(map(math.isfinite, totals))
            print(
                label(settings),
                *(f"{total:.2f}" for total in totals),
                "falling" if falling else "NOT FALLING",
                flush=True,
            )
    show("training steps", [summary(row) for row in rows])
    show("phases, ms", phase_rows(rows))
    if options.out:
        write_json(options.out, rows)


def label(settings: StepSettings) -> str:
    """What differs from the defaults."""
    changed = [
        f"{field.name} {getattr(settings, field.name)}"
        for field in fields(StepSettings)[2:7]
        if getattr(settings, field.name) != field.default
    ]
    return ", ".join([f"{settings.method} {settings.behaviour}", *changed])


def summary(row: Mapping[str, Any]) -> Row:
    """A line of the table."""
    if "error" in row:
        return {"step": row["step"], "images a second": row["error"]}
    return {
        "step": row["step"], "images a second": row["images_per_s"], "ms a step": 1e3 * row["step_s"],
        "peak MiB": row["peak_mib"],
    }  # fmt: skip


def phase_rows(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The phases of the rows that have them."""
    return [{"step": row["step"]} | row["phases_ms"] for row in rows if "phases_ms" in row]


def measure(settings: StepSettings, root: Path, depth: Path) -> dict[str, Any]:
    """Losses, time and memory of one configuration; one that does not fit the memory of a GPU says so."""
    try:
        return {"step": label(settings)} | _measured(settings, root, depth)
    except torch.OutOfMemoryError:
        return {"step": label(settings), "error": "out of memory"}


def _measured(settings: StepSettings, root: Path, depth: Path) -> dict[str, Any]:
    fabric = start(settings.machine, 0)
    step = build_step(settings, fabric.device, all_processes(fabric))
    optimiser = build_optimiser(step, kind="adam", learning_rate=1e-4, weight_decay=1e-5)
    if settings.compile:
        step.compile()
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    wrapped.train()
    chunks = [chunk.to(fabric.device) for chunk in chunks_of(settings, root, depth)]
    totals: list[float] = []

    def train() -> None:
        total = torch.stack(list(wrapped(chunks).values())).sum()
        fabric.backward(total)
        wrapped_optimiser.step()
        wrapped_optimiser.zero_grad(set_to_none=True)
        totals.append(float(total.detach()))

    with peak_mib(settings.device) as peak:
        seconds = median(
            in_turns({"": train}, max(settings.steps - 1, 1), device=settings.device, clock=time.perf_counter)[""]
        )
    row: dict[str, Any] = {"totals": totals, "step_s": seconds}
    row |= {"images_per_s": settings.batch / seconds, "peak_mib": peak[0]}
    if not settings.compile:
        row["phases_ms"] = phases(step, wrapped, wrapped_optimiser, chunks, fabric)
    return row


def build_step(settings: StepSettings, device: torch.device, processes: Processes = ALONE) -> DetectionStep:
    """The student's step of the training stage, with fresh weights."""
    quirks = Quirks.of(settings.behaviour)
    student, teacher = (build_detector(settings.width, quirks=quirks, upsampling=settings.upsampling) for _ in range(2))
    step = DetectionStep(student, modality="image", quirks=quirks, processes=processes)
    if settings.method != "none":
        channels = feature_channels(settings.width)
        wanted = tuple(PUBLISHED_WEIGHTS[settings.method])
        loss = DistillationLoss(wanted, fused_channels=channels, backbone_channels=channels, quirks=quirks)
        step = DistillationStep(student, teacher.to(device), loss, quirks=quirks, processes=processes)
    if settings.channels_last:
        step.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return step


def with_cars(root: KittiFolder) -> list[str]:
    """The frames that have a car to train on."""
    return [frame for frame in root.frames() if "Car" in root.label(frame).read_text()]


def chunks_of(settings: StepSettings, root: Path, depth: Path) -> list[Batch]:
    """A batch of the frames that have depth, again from the start if they are few, in the chunks of quirk Q5."""
    folder = KittiFolder(root)
    names = [frame for frame in with_cars(folder) if (depth / f"{frame}.png").exists()]
    frames = Frames(folder, names, InputSettings(settings.height_px, settings.width_px), depth_dir=depth, labels=True)
    size = settings.batch
    if settings.behaviour == "published" and settings.batch % CHUNK_FRAMES == 0:
        size = CHUNK_FRAMES
    samples = [frames[0, index % len(names)] for index in range(settings.batch)]
    return [collate(samples[first : first + size]) for first in range(0, len(samples), size)]


def phases(step: DetectionStep, wrapped: Any, optimiser: Any, chunks: list[Batch], fabric: Fabric) -> dict[str, float]:
    """Milliseconds of each phase of a step, the median of three, with a wait for the device at every border."""
    device, repeats, ms = fabric.device.type, 3, defaultdict[str, list[float]](list)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        wait(device)
        began = time.perf_counter()
        yield
        wait(device)
        ms[name].append(1e3 * (time.perf_counter() - began))

    watched: dict[str, nn.Module] = {"student": step.detector}
    if isinstance(step, DistillationStep):
        watched |= {"teacher": step.teacher, "distillation": step.distillation}
    for name, module in watched.items():
        module.forward = _timed(module.forward, name, timed)
    for _ in range(repeats):
        with timed("forward"):
            total = torch.stack(list(wrapped(chunks).values())).sum()
        with timed("backward"):
            fabric.backward(total)
        with timed("optimiser"):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    for module in watched.values():
        del module.__dict__["forward"]
    each = {name: len(times) // repeats for name, times in ms.items()}
    found = {
        name: median(sum(times[i : i + each[name]]) for i in range(0, len(times), each[name]))
        for name, times in ms.items()
    }
    rest = found.pop("forward") - sum(found[name] for name in watched)
    last = {name: found.pop(name) for name in ("backward", "optimiser")}
    return found | {"rest of forward": rest} | last


def _timed(forward: Callable[..., Any], name: str, timed: Callable[[str], Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **keywords: Any) -> Any:
        with timed(name):
            return forward(*arguments, **keywords)

    return run


if __name__ == "__main__":
    main()
