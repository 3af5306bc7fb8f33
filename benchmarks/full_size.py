"""Training steps at the published size (384×1280, DLA-34): losses, time phase by phase, peak memory.

    python benchmarks/full_size.py [KITTI_ROOT] [--batch 2] [--steps 4]

Every row is a process of its own on the same frames, with the optimiser, precision and deterministic kernels of the
training stages. The total loss of the steps must be finite and fall. Times are medians over steps, the first left out.
Phases are timed in further steps with a wait for the device at each border; what is left of the forward pass are the
detection terms.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning_fabric import Fabric
from measure import KITTI, ROOT, Row, in_fresh_process, in_turns, peak_mib, show, wait
from torch import nn

from monokd.depth.folder import densify_folder
from monokd.distill.loss import DistillationLoss
from monokd.distill.student import DistillationStep
from monokd.kitti.frames import KittiFolder
from monokd.losses.means import ALONE, Processes
from monokd.models.detector import build_detector
from monokd.models.neck import Upsample
from monokd.params import PUBLISHED_WEIGHTS, Behaviour, Machine, Training, load_params
from monokd.quirks import Quirks
from monokd.samples.batch import Batch, collate
from monokd.samples.dataset import Frames, InputSettings
from monokd.training.devices import neighbours, start
from monokd.training.schedule import build_optimiser
from monokd.training.steps import DetectionStep
from monokd.typing import Modality

METHODS = ("none", *PUBLISHED_WEIGHTS)
TRAINING = Training.model_construct(optimiser="adam", learning_rate=1e-4, weight_decay=1e-5)
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
    shuffled: bool = False  # upsampling, see models.neck.Upsample
    batch: int = 2
    height_px: int = 384
    width_px: int = 1280
    width: float = 1.0
    device: str = "cpu"
    steps: int = 4

    @property
    def label(self) -> str:
        """What differs from the defaults."""
        switches = [(field.name, getattr(self, field.name), field.default) for field in fields(self)[2:7]]
        changed = [f"{name} {value}" for name, value, default in switches if value != default]
        return ", ".join([f"{self.method} {self.behaviour}", *changed])

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
    parser.add_argument("root", nargs="?", type=Path, default=KITTI)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    if not options.root.is_dir():
        print(f"full_size: needs frames in KITTI's layout, found none in {options.root}")
        return
    wanted = [replace(settings, batch=options.batch, steps=options.steps) for settings in ROWS]
    with tempfile.TemporaryDirectory() as name:
        root, depth = KittiFolder(options.root), Path(name)
        densify_folder(root, depth, with_cars(root)[:8], workers=1)
        rows = [in_fresh_process(measure, settings, options.root, depth) for settings in wanted]
    show("training steps", [row["step"] for row in rows])
    show("phases, ms", [row["phases"] for row in rows if "phases" in row])


def measure(settings: StepSettings, root: Path, depth: Path) -> dict[str, Row]:
    """A line for the table of steps and one for that of phases; what does not fit the memory of a GPU says so."""
    name: Row = {"step": settings.label}
    try:
        found = _measured(settings, root, depth)
    except torch.OutOfMemoryError:
        return {"step": name | {"images a second": "out of memory"}}
    return {kind: name | row for kind, row in found.items()}


def _measured(settings: StepSettings, root: Path, depth: Path) -> dict[str, Row]:
    fabric = start(settings.machine, 0)
    step = build_step(settings, fabric.device, neighbours(fabric, fabric.world_size))
    optimiser = build_optimiser(step, TRAINING)
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

    rounds = max(settings.steps - 1, 1)
    with peak_mib(settings.device) as peak:
        (times,) = in_turns({"": train}, rounds, device=settings.device, clock=time.perf_counter).values()
    row: Row = {"images a second": settings.batch / median(times), "ms a step": 1e3 * median(times)}
    found = {"step": row | {"peak MiB": peak[0], "losses": " ".join(f"{total:.2f}" for total in totals)}}
    if not settings.compile:
        found["phases"] = phases(step, wrapped, wrapped_optimiser, chunks, fabric)
    return found


def build_step(
    settings: StepSettings, device: torch.device, processes: Processes = ALONE, modality: Modality = "image"
) -> DetectionStep:
    """The step of a training stage, the student's where `method` has terms, with fresh weights."""
    quirks = Quirks.of(settings.behaviour)
    student, teacher = (build_detector(settings.width, quirks=quirks) for _ in range(2))
    for module in (*student.modules(), *teacher.modules()):
        if isinstance(module, Upsample):
            module.shuffled = settings.shuffled
    step = DetectionStep(student, modality=modality, quirks=quirks, processes=processes)
    if settings.method != "none":
        channels = student.channels
        wanted = tuple(PUBLISHED_WEIGHTS[settings.method])
        loss = DistillationLoss(wanted, fused_channels=channels, backbone_channels=channels, quirks=quirks)
        chunk = ALONE if quirks.per_replica_normaliser else processes
        step = DistillationStep(student, teacher.to(device), loss, quirks=quirks, processes=processes, chunk=chunk)
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
    in_chunks = settings.behaviour == "published" and settings.batch % CHUNK_FRAMES == 0
    size = CHUNK_FRAMES if in_chunks else settings.batch
    samples = [frames[0, index % len(names)] for index in range(settings.batch)]
    return [collate(samples[first : first + size]) for first in range(0, len(samples), size)]


def phases(step: DetectionStep, wrapped: Any, optimiser: Any, chunks: list[Batch], fabric: Fabric) -> Row:
    """Milliseconds of each phase of a step, the median of three, with a wait for the device at every border."""
    spent: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        wait(fabric.device.type)
        began = time.perf_counter()
        yield
        wait(fabric.device.type)
        spent[name] = spent.get(name, 0.0) + 1e3 * (time.perf_counter() - began)

    watched: dict[str, nn.Module] = {"student": step.detector}
    if isinstance(step, DistillationStep):
        watched |= {"teacher": step.teacher, "distillation": step.distillation}
    for name, module in watched.items():
        module.forward = timed(name)(module.forward)
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(3):
        spent.clear()
        with timed("forward"):
            total = torch.stack(list(wrapped(chunks).values())).sum()
        with timed("backward"):
            fabric.backward(total)
        with timed("optimiser"):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        spent["rest of forward"] = spent["forward"] - sum(spent[name] for name in watched)
        for name in (*watched, "rest of forward", "backward", "optimiser"):
            found[name].append(spent[name])
    return {name: median(ms) for name, ms in found.items()}


if __name__ == "__main__":
    main()
