"""The rank-correlation loss: closed form and true ranks against torchsort, and how well each estimator teaches.

    python benchmarks/rank_loss.py [--threads 2] [--repeats 5]
    python benchmarks/rank_loss.py --only features --student data/models/baseline.safetensors \\
        --teacher data/models/teacher.safetensors --frames data/demo --depth data/depth --figure docs/rank_loss.png

Estimators take turns; medians are printed. Times are CPU seconds (with several threads: their sum) of forward and
backward on rectified normal values; both sides of a comparison share the correlation. The comparison on features takes
the fused maps of two trained detectors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
import torchsort
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from monokd.distill.maps import to_coarsest
from monokd.distill.ranks import smooth_rank, soft_rank
from monokd.distill.spearman import PUBLISHED_STRENGTH, TRUE_RANK_STRENGTH, correlations, published_ranks
from monokd.files import write_json
from monokd.kitti.frames import KittiFolder
from monokd.models.checkpoint import load_detector
from monokd.samples.dataset import Frames
from monokd.samples.loader import build_loader

# Levels of the published size after resizing to 12×40: 64 to 512 channels of 480 positions.
SIZES = (30_720, 61_440, 122_880, 245_760)
MIB = 2**20
Levels = Sequence[Tensor]
Loss = Callable[[Levels, Levels], Tensor]


def loss(a: Levels, ranks: Levels) -> Tensor:
    return (1 - correlations(a, ranks)).sum()


def pearson(a: Levels, b: Levels) -> Tensor:
    """The published loss as shipped: its regime checked, in closed form."""
    return loss(a, published_ranks(b))


def published(a: Levels, b: Levels) -> Tensor:
    return loss(a, [soft_rank(x, PUBLISHED_STRENGTH) for x in b])


def true_rank(strength: float) -> Loss:
    return lambda a, b: loss(*([smooth_rank(x, strength) for x in side] for side in (a, b)))


def sorted_rank(strength: float) -> Loss:
    """Torchsort at the same strength: no slope of ranks beyond N / (strength · spread)."""

    def ranks(x: Tensor) -> Tensor:
        return torch.cat([soft_rank(row[None], strength * float(row.detach().std()) / row.numel()) for row in x])

    return lambda a, b: loss(*([ranks(x) for x in side] for side in (a, b)))


def density(a: Levels, b: Levels) -> Tensor:
    """True ranks by sorting; the gradient of a rank is the density at the value alone, other ranks held fixed."""
    return loss([hard_rank_with_density(x) for x in a], [hard_rank(x) for x in b])


def hard_rank(x: Tensor) -> Tensor:
    order = x.argsort(1).argsort(1)
    return (order + 0.5) / x.shape[1] - 0.5


def hard_rank_with_density(x: Tensor) -> Tensor:
    ordered, _ = x.detach().sort(1)
    half = max(1, x.shape[1] // 200)
    place = x.detach().argsort(1).argsort(1)
    above = ordered.gather(1, (place + half).clamp(max=x.shape[1] - 1))
    below = ordered.gather(1, (place - half).clamp(min=0))
    slope = 2 * half / x.shape[1] / (above - below).clamp(min=1e-6)
    return hard_rank(x) + slope * (x - x.detach())


ESTIMATORS: dict[str, Loss] = {
    "published, closed form": pearson,
    "published, torchsort": published,
    "true rank, ours": true_rank(TRUE_RANK_STRENGTH),
    "true rank, torchsort": sorted_rank(TRUE_RANK_STRENGTH),
}


def synthetic(batch: int, size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(size)
    teacher = torch.relu(torch.randn(batch, size, generator=g))
    student = torch.randn(batch, size, generator=g) + teacher
    return student.to(device).requires_grad_(), teacher.to(device)


def clock(on_device: bool) -> float:
    """Seconds; on the CPU those of this process alone, so that a busy machine hardly matters."""
    return time.perf_counter() if on_device else time.process_time()


def timed(way: Loss, student: Levels, teacher: Levels) -> float:
    on_device = student[0].is_cuda
    if on_device:
        torch.cuda.synchronize()
    start = clock(on_device)
    torch.autograd.grad(way(student, teacher), student)
    if on_device:
        torch.cuda.synchronize()
    return clock(on_device) - start


def speed(sizes: Sequence[int], repeats: int, device: str) -> list[dict[str, float]]:
    """One row a batch and map, and one for all maps, as a step takes them."""
    found = []
    print(f"{'batch':>5}{'values':>9}" + "".join(f"{name:>25}" for name in ESTIMATORS) + "   faster")
    for batch in (2, 8):
        for levels in (*((size,) for size in sizes), tuple(sizes)):
            student, teacher = zip(*(synthetic(batch, size, device) for size in levels), strict=True)
            seconds: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
            for i in range(repeats + 1):
                for name, way in ESTIMATORS.items():
                    taken = timed(way, student, teacher)
                    if i:
                        seconds[name].append(taken)
            ms = [1e3 * median(times) for times in seconds.values()]
            print(
                f"{batch:>5}{sum(levels):>9}" + "".join(f"{m:>22.2f} ms" for m in ms)
                + f"   {ms[1] / ms[0]:.0f}× {ms[3] / ms[2]:.1f}×", flush=True,
            )  # fmt: skip
            found.append({"batch": batch, "values": sum(levels)} | dict(zip(ESTIMATORS, ms, strict=True)))
    return found


def memory(sizes: Sequence[int], device: str, *, here: bool) -> list[dict[str, float]]:
    """Peak memory of a pass of every estimator by size, on the CPU in a process of its own."""
    if here:
        found = peaks(sizes, device)
    else:
        # Every larger block is mapped and given back when it is freed, so that the resident size is what is held.
        command = [sys.executable, __file__, "--peaks"]
        settings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
        found = json.loads(done.stdout)
    print("\nPeak memory of a pass beyond its inputs, MiB")
    print(f"{'batch':>5}{'values':>9}{'inputs':>9}" + "".join(f"{name:>25}" for name in ESTIMATORS))
    for row in found:
        inputs = 2 * row["batch"] * row["values"] * 4 / MIB
        numbers = "".join(f"{row[name]:>25.1f}" for name in ESTIMATORS)
        print(f"{row['batch']:>5.0f}{row['values']:>9.0f}{inputs:>9.1f}{numbers}", flush=True)
    return found


def peaks(sizes: Sequence[int], device: str) -> list[dict[str, float]]:
    """Rise of the peak over one pass, by batch, size and estimator."""
    for way in ESTIMATORS.values():
        timed(way, *([x] for x in synthetic(1, 1000, device)))
    found = []
    for batch in (2, 8):
        for size in sizes:
            student, teacher = ([x] for x in synthetic(batch, size, device))
            row: dict[str, float] = {"batch": batch, "values": size}
            for name, way in ESTIMATORS.items():
                row[name] = rise_mib(partial(timed, way, student, teacher), device)
            found.append(row)
    return found


def rise_mib(run: Callable[[], object], device: str) -> float:
    """How far the memory in use rises during `run`."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is resident
    before = resident_kib("VmRSS")
    run()
    return (resident_kib("VmHWM") - before) / 1024


def resident_kib(kind: Literal["VmRSS", "VmHWM"]) -> int:
    """Resident memory of this process, now or at its peak (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(kind)))


def resized_maps(model: Path, frames: Path, depth: Path, count: int) -> list[Tensor]:
    """Fused maps of a detector's file on a KITTI folder's first frames, resized as the loss does: 1×N each level."""
    detector, info = load_detector(model)
    folder = KittiFolder(frames)
    names = sorted(p.stem for p in depth.glob("*.png"))[:count]
    samples = Frames(
        folder, names, depth_dir=depth, labels=False, height_px=info.height_px, width_px=info.width_px,
        depth_scaled_twice=False,
    )  # fmt: skip
    (batch,) = build_loader(samples, batch_size=count, training=False).batches(0)
    given = batch.image if info.modality == "image" else batch.depth
    with torch.no_grad():
        output = detector.eval()(given, batch.P2, batch.coord_range_px)
    return [level.flatten(1) for level in to_coarsest(output.fused)]


def values(student: list[Tensor], teacher: list[Tensor]) -> None:
    """Rank correlations of one frame a level, by strength, against scipy's."""
    print("\nCorrelation of student's and teacher's features, one frame, by level (stride 4 first)")
    strengths = (1.0, 1 / 4, 1 / 16, 1 / 64, 1 / 256)
    header = "".join(f"{f'ours 1/{1 / s:.0f}':>12}" for s in strengths) + f"{'torchsort 1/16':>16}"
    print(f"{'values':>8}{'spread':>8}{'scipy':>9}{'Pearson':>9}{header}")
    for both in zip(student, teacher, strict=True):
        a, b = both[0][:1], both[1][:1]
        rho = spearmanr(a[0], b[0]).statistic
        found = [1 - float(true_rank(s)([a], [b])) for s in strengths]
        torch_sorted = 1 - float(sorted_rank(1 / 16)([a.double()], [b.double()]))
        row = "".join(f"{x:>12.4f}" for x in found)
        linear = 1 - float(loss([a], [b - b.mean()]))
        print(f"{a.numel():>8}{float(b.std()):>8.3f}{rho:>9.4f}{linear:>9.4f}{row}{torch_sorted:>16.4f}")


def teaching(student: list[Tensor], teacher: list[Tensor], steps: int) -> None:
    """Rank correlation (scipy) after descent on the features themselves by each estimator's gradient, and by Adam."""
    estimators: dict[str, Loss] = {"Pearson (published)": pearson, "hard rank × density": density}
    estimators |= {f"ours, 1/{1 / s:.0f}": true_rank(s) for s in (1 / 4, 1 / 16, 1 / 64, 1 / 256)}
    estimators |= {f"torchsort, {s:g}": sorted_rank(s) for s in (1 / 64, 1.0, 16.0, 256.0)}
    a, b = student[0][:1], teacher[0][:1]
    print(f"\nTeaching: scipy's rank correlation over {steps} steps of Adam on the student's own {a.numel()} features")
    for name, way in estimators.items():
        moved = a.clone().requires_grad_()
        optimiser = torch.optim.Adam([moved], lr=0.02 * float(a.std()))
        reached, zero = [], 0.0
        for step in range(steps + 1):
            if step in (0, steps // 4, steps):
                reached.append(spearmanr(moved.detach()[0], b[0]).statistic)
            optimiser.zero_grad()
            torch.autograd.backward(way([moved], [b]))
            assert moved.grad is not None
            zero = zero or float((moved.grad == 0).float().mean())
            optimiser.step()
        row = " → ".join(f"{x:.3f}" for x in reached)
        print(f"{name:<22}{row}   zero gradients at first: {100 * zero:.0f} %", flush=True)


def figure(teacher: list[Tensor], path: Path) -> None:
    """Soft rank against true rank over strength, on one teacher map."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    x = teacher[0][:1].double()
    n = x.shape[1]
    true = rankdata(x[0]) / n
    chosen = np.argsort(x[0].numpy())[:: max(1, n // 3000)]
    fig, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True, constrained_layout=True)
    published_strengths = (1.0, 1e-3, 1e-4, float(x.std()) / n / 16)
    titles = ("published: ε = 1", "ε = 0.001", "ε = 0.0001", "ε = σ/(16·n)")
    for axis, strength, title in zip(axes, published_strengths, titles, strict=True):
        soft = torchsort.soft_rank(x, regularization_strength=strength)[0].numpy() / n
        span = np.ptp(soft)
        # An affine map of the ranks changes no correlation: lay their ends on those of the true ranks.
        shown = true.min() + (soft - soft.min()) / span * np.ptp(true)
        axis.plot([0, 1], [0, 1], lw=1, ls="--", color="#777777", label="true rank")
        axis.plot(true[chosen], shown[chosen], lw=2.2, color="#1f6f8b", label="soft rank (torchsort)")
        axis.set_title(f"{title}\nranks span {span:.2g} of {np.ptp(true):.2g}", fontsize=10)
        axis.set_xlabel("true rank / n")
    ours = smooth_rank(x, TRUE_RANK_STRENGTH)[0].numpy() + 0.5
    axes[-1].plot(true[chosen], ours[chosen], lw=1.2, color="#e07a1f", label="smooth rank (ours, 1/16)")
    axes[0].set_ylabel("soft rank, stretched to the true span")
    axes[-1].legend(frameon=False, fontsize=8, loc="upper left")
    fig.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=200, help="of the teaching comparison")
    parser.add_argument("--only", choices=("speed", "memory", "features"))
    parser.add_argument("--student", type=Path, help="detector file for the comparison on features")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--frames", type=Path, help="KITTI folder")
    parser.add_argument("--depth", type=Path, help="dense depth PNGs of the frames")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--quick", action="store_true", help="the smallest size only, once")
    parser.add_argument("--out", type=Path, help="JSON of the speed and memory tables")
    parser.add_argument("--peaks", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = SIZES[:1] if options.quick else SIZES
    if options.peaks:
        print(json.dumps(peaks(SIZES, "cpu")))
        return
    tables = {}
    if options.only in (None, "speed"):
        tables["ms"] = speed(sizes, 1 if options.quick else options.repeats, options.device)
    if options.only in (None, "memory"):
        tables["mib"] = memory(sizes, options.device, here=options.quick or options.device != "cpu")
    if options.out:
        write_json(options.out, tables)
    if options.student and options.only in (None, "features"):
        student, teacher = (
            resized_maps(model, options.frames, options.depth, 2) for model in (options.student, options.teacher)
        )
        values(student, teacher)
        if options.figure:
            figure(teacher, options.figure)
        teaching(student, teacher, options.steps)


if __name__ == "__main__":
    main()
