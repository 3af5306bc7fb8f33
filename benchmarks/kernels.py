"""The rank-correlation loss and the selective scan: time, exactness and memory of every form, ours and others'.

    python benchmarks/kernels.py [--device cuda] [--repeats 5] [--only ranks scans] [--out FILE.json]

Everything runs in the deterministic mode of training. Forms take turns; medians are printed, on the CPU of processor
time, with several threads their sum. Both sides of a comparison of ranks share the correlation. Memory is by how much
what is in use rises over one forward and backward pass. A form that cannot run here says why in its row.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
import torchsort
from measure import Row, apart, in_turns, peak_mib, show
from torch import Tensor

from monokd.distill.ranks import smooth_rank
from monokd.distill.scan_chunked import ChunkedScan
from monokd.distill.selective_scan import reference_scan, selective_scan, turned
from monokd.distill.spearman import PUBLISHED_STRENGTH, TRUE_RANK_STRENGTH, correlations, published_ranks
from monokd.files import write_json
from monokd.training.devices import make_deterministic

# Levels of the published size after resizing to 12×40: 64 to 512 channels of 480 positions.
VALUES = [(batch, size) for batch in (2, 8) for size in (30_720, 61_440, 122_880, 245_760)]
STATES = 16
TOKENS = [(480, 512), (1920, 32), (30_720, 64)]  # tokens × channels
MEMORY_TOKENS = [(length, 64) for length in (1024, 2048, 4096, 8192)]
Loss = Callable[[Tensor, Tensor], Tensor]
Scan = Callable[..., Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=tuple(TABLES), default=list(TABLES))
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    tables = {}
    for name in options.only:
        title, table, sizes = TABLES[name]
        torch.set_num_threads(options.threads)
        tables[name] = apart(table, sizes, options.repeats, options.device)
        show(title, tables[name])
    if options.out:
        write_json(options.out, tables)


def correlation_of(a: Tensor, b: Tensor) -> Tensor:
    return 1 - correlations([a], [b])[0]


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """The published loss as it is here: its regime checked, in closed form."""
    return correlation_of(a, published_ranks([b])[0])


def published(a: Tensor, b: Tensor) -> Tensor:
    return correlation_of(a, torchsort.soft_rank(b, regularization_strength=PUBLISHED_STRENGTH))


def true_rank(strength: float) -> Loss:
    return lambda a, b: correlation_of(smooth_rank(a, strength), smooth_rank(b, strength))


def sorted_rank(strength: float) -> Loss:
    """Torchsort at the same strength: no slope of ranks beyond N / (strength · spread)."""

    def ranks(x: Tensor) -> Tensor:
        regularised = (strength * float(row.detach().std()) / row.numel() for row in x)
        rows = [torchsort.soft_rank(r[None], regularization_strength=s) for r, s in zip(x, regularised, strict=True)]
        return torch.cat(rows)

    return lambda a, b: correlation_of(ranks(a), ranks(b))


ESTIMATORS: dict[str, Loss] = {
    "published, closed form": pearson,
    "published, torchsort": published,
    "true ranks, ours": true_rank(TRUE_RANK_STRENGTH),
    "true ranks, torchsort": sorted_rank(TRUE_RANK_STRENGTH),
}


def rank_pair(batch: int, size: int, device: str) -> tuple[Tensor, Tensor]:
    """Student's and teacher's values, rectified normal ones."""
    g = torch.Generator().manual_seed(size)
    teacher = torch.relu(torch.randn(batch, size, generator=g))
    student = torch.randn(batch, size, generator=g) + teacher
    return student.to(device).requires_grad_(), teacher.to(device)


def rank_passes(batch: int, size: int, device: str) -> dict[str, Callable[[], object]]:
    """Forward and backward of every estimator."""
    student, teacher = rank_pair(batch, size, device)
    return {
        name: lambda loss=loss: torch.autograd.grad(loss(student, teacher), student)  # type: ignore[misc]
        for name, loss in ESTIMATORS.items()
    }


def scan_inputs(length: int, channels: int, device: str) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    u, raw = (torch.randn(1, length, channels, generator=g) for _ in range(2))
    A = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    B, C = (torch.randn(1, length, STATES, generator=g) for _ in range(2))
    tensors = (u, F.softplus(raw - 4), A, B, C, torch.ones(channels))
    return [x.to(device).requires_grad_() for x in tensors]


def mamba(*given: Tensor) -> Tensor:
    """mamba-ssm's kernel, which runs on GPUs alone."""
    module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    return turned(module.selective_scan_fn, *given)


SCANS: dict[str, Scan] = {
    "in use": selective_scan, "chunks": ChunkedScan.apply, "mamba-ssm": mamba, "loop": reference_scan
}  # fmt: skip


def scan_passes(length: int, channels: int, device: str) -> dict[str, Callable[[], list[Tensor]]]:
    """Output and the six gradients by every form."""
    given = scan_inputs(length, channels, device)

    def run(scan: Scan) -> list[Tensor]:
        y = scan(*given)
        return [y.detach(), *torch.autograd.grad(y, given, torch.ones_like(y))]

    return {name: lambda scan=scan: run(scan) for name, scan in SCANS.items()}  # type: ignore[misc]


def that_run(passes: dict[str, Callable[[], object]]) -> dict[str, str]:
    """Why the forms that cannot run here cannot; they are taken out of `passes`."""
    reasons = {}
    for name, run in list(passes.items()):
        try:
            run()
        except (ImportError, RuntimeError, NotImplementedError, TypeError) as error:  # of other packages' extensions
            if name in OURS:
                raise
            reasons[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:60]}"
            del passes[name]
    return reasons


OURS = ("published, closed form", "true ranks, ours", "in use", "chunks", "loop")


def rank_times(sizes: Sequence[tuple[int, int]], repeats: int, device: str) -> list[Row]:
    """Milliseconds by batch, size and estimator."""
    make_deterministic()
    rows = []
    for batch, size in sizes:
        passes = rank_passes(batch, size, device)
        row: dict[str, object] = {"batch × values": f"{batch} × {size:,}", **dict.fromkeys(passes)}
        row |= that_run(passes)
        rows.append(row | milliseconds(passes, repeats, device))
    return rows


def scan_times(sizes: Sequence[tuple[int, int]], repeats: int, device: str) -> list[Row]:
    """Milliseconds by tokens and form, and the largest error of output and gradients, relative to their largest number."""
    make_deterministic()
    rows = []
    for length, channels in sizes:
        passes = scan_passes(length, channels, device)
        row: dict[str, object] = {"tokens × channels": f"{length:,} × {channels}", **dict.fromkeys(passes)}
        row |= that_run(passes)  # type: ignore[arg-type]
        expected = passes["loop"]()
        for name in passes.keys() - {"loop"}:
            pairs = zip(passes[name](), expected, strict=True)
            row[f"error of {name}"] = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
        slow = {"loop": passes.pop("loop")} if length > 2000 else {}  # minutes, several times over
        rows.append(row | milliseconds(passes, repeats, device) | milliseconds(slow, 1, device))
    return rows


def milliseconds(
    passes: dict[str, Callable[[], object]] | dict[str, Callable[[], list[Tensor]]], repeats: int, device: str
) -> dict[str, float]:
    return {name: 1e3 * median(times) for name, times in in_turns(passes, repeats, device=device).items()}


def rank_memory(sizes: Sequence[tuple[int, int]], _: int, device: str) -> list[Row]:
    """MiB beyond the inputs by batch, size and estimator."""
    make_deterministic()
    that_run(rank_passes(1, 1000, device))  # everything is loaded
    rows = []
    for batch, size in sizes:
        passes = rank_passes(batch, size, device)
        rows.append(
            {"batch × values": f"{batch} × {size:,}", "inputs": 8 * batch * size / 2**20} | rises(passes, device)
        )
    return rows


def scan_memory(sizes: Sequence[tuple[int, int]], _: int, device: str) -> list[Row]:
    """MiB beyond the inputs by tokens and form."""
    make_deterministic()
    that_run(scan_passes(64, sizes[0][1], device))  # type: ignore[arg-type]
    return [
        {"tokens × channels": f"{length:,} × {channels}"} | rises(scan_passes(length, channels, device), device)
        for length, channels in sizes
    ]


def rises(
    passes: dict[str, Callable[[], object]] | dict[str, Callable[[], list[Tensor]]], device: str
) -> dict[str, object]:
    """By how much each pass raises the memory in use."""
    found: dict[str, object] = {}
    for name, run in passes.items():
        with peak_mib(device) as peak:
            reason = that_run({name: run})
        found[name] = reason.get(name) or peak[1]
    return found


Table = Callable[[Sequence[tuple[int, int]], int, str], list[Row]]
TABLES: dict[str, tuple[str, Table, Sequence[tuple[int, int]]]] = {
    "ranks": ("rank correlation, forward and backward, ms", rank_times, VALUES),
    "rank_memory": ("rank correlation, peak memory beyond its inputs, MiB", rank_memory, VALUES),
    "scans": (f"selective scan, {STATES} states, forward and backward, ms", scan_times, TOKENS),
    "scan_memory": ("selective scan, peak memory beyond its inputs, MiB", scan_memory, MEMORY_TOKENS),
}


if __name__ == "__main__":
    main()
