"""Parts of `gpu.py` that measure: steps by phase and switch, ranks and scan, the loader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from full_size import METHODS, measure, phase_rows, summary
from gpu_parts import Found, Options
from kernels import KINDS, Size, memory, times
from samples import loader_row, moved

from monokd.kitti.frames import KittiFolder

SWITCHES: list[dict[str, Any]] = [
    {},
    {"channels_last": False},
    {"tf32": True},
    {"tf32": True, "channels_last": False},
    {"precision": "bf16-mixed"},
    {"precision": "bf16-mixed", "channels_last": False},
    {"precision": "bf16-mixed", "compile": True},
    {"tf32": True, "behaviour": "published"},
]
SMALL_SWITCHES = [SWITCHES[0], SWITCHES[4]]
WORKERS, BATCHES = (4, 8, 16), 24


def steps(options: Options) -> Found:
    """MonoSKD with every switch, and the other losses with TF32 and bfloat16; each in a process of its own."""
    wanted = [options.step(**changes) for changes in (SMALL_SWITCHES if options.small else SWITCHES)]
    others = [] if options.small else [name for name in METHODS if name != "monoskd"]
    for method in others:
        wanted += [options.step(method=method, **SWITCHES[i]) for i in (2, 4)]
    rows = [options.apart(measure, settings, options.frames, options.depth) for settings in wanted]
    tables = {f"batch {wanted[0].batch}": [summary(row) for row in rows], "phases, ms": phase_rows(rows)}
    found = Found(tables)
    fits = [row for row in rows if "error" not in row]
    found.verdict(len(fits) == len(rows), f"{len(fits)} of {len(rows)} configurations of batch {wanted[0].batch} run")
    speed = {row["step"]: row["images_per_s"] for row in fits}
    base = speed.get(rows[0]["step"])
    for name, rate in speed.items():
        if base and name != rows[0]["step"]:
            found.verdict(True, f"{name}: {rate:.1f} images a second, {rate / base:.2f} times float32's")
    return found


def kernel_tables(options: Options) -> Found:
    """The tables of `kernels.py`; forms of other packages that cannot run here say why, ours must run."""
    found, device = Found(), options.device
    small: dict[str, Sequence[Size]] = {"ranks": [(2, 3000)], "scans": [(48, 8)]}
    for kind, (title, _, sizes, more) in KINDS.items():
        chosen = (small[kind], small[kind], 2) if options.small else (sizes, more, 5)
        rows = options.apart(times, kind, chosen[0], chosen[2], device)
        found.tables[f"{title}, ms"] = rows
        found.tables[f"{title}, peak MiB beyond the inputs"] = options.apart(memory, kind, chosen[1], device)
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
