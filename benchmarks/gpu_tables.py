"""Parts of `gpu.py` that measure: steps by phase and switch, ranks and scan, the loader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import kernels
from full_size import METHODS, StepSettings, measure
from kernels import KINDS, Size
from measure import Row, in_fresh_process
from samples import loader_row, moved

from monokd.kitti.frames import KittiFolder
from monokd.params import Behaviour

R = TypeVar("R")
TF32, BF16 = {"tf32": True}, {"precision": "bf16-mixed"}
SLOWER = ({"channels_last": False}, {"shuffled": True})
SWITCHES: list[dict[str, Any]] = [
    *(numbers | switch for numbers in ({}, TF32, BF16) for switch in ({}, *SLOWER)),
    BF16 | {"compile": True},
    TF32 | {"behaviour": "published"},
]
SMALL_SWITCHES = [{}, BF16 | SLOWER[1]]
SMALL_SIZES: dict[str, Sequence[Size]] = {"ranks": [(2, 3000)], "scans": [(48, 8)]}
WORKERS, BATCHES = (4, 8, 16), 24


@dataclass(frozen=True, slots=True)
class Options:
    """Where and on what a part runs."""

    device: str  # cuda, or cpu in its place
    small: bool  # tiny sizes, in this process where that is possible
    work: Path  # a folder that goes away
    frames: Path  # a KITTI folder
    depth: Path  # dense depth of its frames

    @property
    def cases(self) -> list[tuple[str, Behaviour]]:
        """All losses in both behaviours, or one."""
        both: tuple[Behaviour, ...] = ("published", "corrected")
        return [("monoskd", "published")] if self.small else list(product(METHODS, both))

    def step(self, **changes: Any) -> StepSettings:
        """A step at the published size, or a tiny one."""
        return replace(self.tiny(2) if self.small else StepSettings(batch=16, steps=12, device=self.device), **changes)

    def tiny(self, batch: int) -> StepSettings:
        """A step that takes milliseconds."""
        return StepSettings(height_px=64, width_px=128, width=0.125, batch=batch, steps=2, device=self.device)

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """Call a function in a process of its own, so that its memory and settings are; in this one where small."""
        return function(*arguments) if self.small else in_fresh_process(function, *arguments)


@dataclass(slots=True)
class Found:
    """What a part found: tables by title, and verdicts."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def verdict(self, holds: bool, text: str) -> None:
        """Add a verdict."""
        self.verdicts.append({"holds": bool(holds), "text": text})


def steps(options: Options) -> Found:
    """MonoSKD with every switch, and the other losses with TF32 and bfloat16; each in a process of its own."""
    wanted = [options.step(**changes) for changes in (SMALL_SWITCHES if options.small else SWITCHES)]
    others = [] if options.small else [name for name in METHODS if name != "monoskd"]
    wanted += [options.step(method=method, **numbers) for method in others for numbers in (TF32, BF16)]
    rows = [options.call(measure, settings, options.frames, options.depth) for settings in wanted]
    title = f"batch {wanted[0].batch}"
    found = Found({title: [row["step"] for row in rows]})
    found.tables["phases, ms"] = [row["phases"] for row in rows if "phases" in row]
    speed = {row["step"]["step"]: row["step"]["images a second"] for row in rows if "ms a step" in row["step"]}
    found.verdict(len(speed) == len(rows), f"{len(speed)} of {len(rows)} configurations of {title} run")
    base = speed.pop(wanted[0].label, None)
    for name, rate in speed.items() if base else ():
        found.verdict(True, f"{name}: {rate:.1f} images a second, {rate / base:.2f} times float32's")
    return found


def kernel_tables(options: Options) -> Found:
    """The tables of `kernels.py`; forms of other packages that cannot run here say why, ours must run."""
    found, device = Found(), options.device
    for kind, (title, _, sizes) in KINDS.items():
        chosen = (SMALL_SIZES[kind], 2) if options.small else (sizes, kernels.REPEATS)
        rows, memory = options.call(kernels.measure, kind, *chosen, device)
        found.tables |= {f"{title}, ms": rows, f"{title}, peak MiB beyond the inputs": memory}
        for form, reason in ((form, reason) for form, reason in rows[0].items() if "Error: " in str(reason)):
            found.verdict(True, f"{title}: {form} cannot run here, training does not need it: {reason}")
        errors = [value for row in rows for key, value in row.items() if key.startswith("error")]
        exact = f", differ from the loop over tokens by {max(errors):.1e} at most, limit 1e-4" if errors else ""
        found.verdict(max(errors, default=0.0) <= 1e-4, f"{title}: our forms run{exact}")
    return found


def data(options: Options) -> Found:
    """Samples a second by workers, as they arrive on the device; bytes of a sample; the size of a batch."""
    step, root = options.step(), KittiFolder(options.frames)
    size, workers = (step.height_px, step.width_px), (1,) if options.small else WORKERS
    batches = 2 if options.small else BATCHES
    rows = [loader_row(root, options.depth, step.batch, batches, n, device=options.device, size=size) for n in workers]
    found = Found({"loader": rows, "bytes": moved(root, options.depth, step.batch, size)})
    fastest = max(row["samples a second"] for row in rows)
    found.verdict(options.small or fastest >= 1000, f"the loader gives {fastest:.0f} samples a second, goal 1000")
    return found
