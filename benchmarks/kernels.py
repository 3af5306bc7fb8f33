"""The rank-correlation loss and the selective scan: time, exactness and memory of every form, ours and others'.

    python benchmarks/kernels.py [--device cuda] [--repeats 5] [--only ranks scans]

Everything runs in the deterministic mode of training. Forms take turns; medians are printed, on the CPU of processor
time, with several threads their sum. Both sides of a comparison of ranks share the correlation. Memory is by how much
what is in use rises over one forward and backward pass. A form that cannot run here says why in its row.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
import torchsort
from measure import Row, in_fresh_process, in_turns, peak_mib, show
from torch import Tensor

from monokd.distill.ranks import smooth_rank
from monokd.distill.selective_scan import in_mamba_layout, reference_scan, selective_scan
from monokd.distill.spearman import PUBLISHED_STRENGTH, TRUE_RANK_STRENGTH, correlations, published_ranks
from monokd.training.devices import make_deterministic

# Levels of the published size after resizing to 12×40: 64 to 512 channels of 480 positions.
VALUES = [(batch, size) for batch in (2, 8) for size in (30_720, 61_440, 122_880, 245_760)]
STATES = 16
TOKENS = [(480, 512), (1920, 32), (30_720, 64)]  # tokens × channels
MEMORY_TOKENS = [(length, 64) for length in (1024, 2048, 4096, 8192)]
Loss = Callable[[Tensor, Tensor], Tensor]
Scan = Callable[..., Tensor]
Passes = dict[str, Callable[[], list[Tensor]]]
Size = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    options = parser.parse_args()
    for kind in options.only:
        title, first, sizes, more = KINDS[kind]
        show(f"{title}, ms by {first}", in_fresh_process(times, kind, sizes, options.repeats, options.device))
        show(f"{title}, peak MiB beyond the inputs", in_fresh_process(memory, kind, more, options.device))


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


def rank_passes(batch: int, size: int, device: str) -> Passes:
    """The student's gradient by every estimator, on rectified normal values."""
    g = torch.Generator().manual_seed(size)
    teacher = torch.relu(torch.randn(batch, size, generator=g)).to(device)
    student = (torch.randn(batch, size, generator=g).to(device) + teacher).requires_grad_()

    def run(loss: Loss) -> list[Tensor]:
        return list(torch.autograd.grad(loss(student, teacher), student))

    return {name: partial(run, loss) for name, loss in ESTIMATORS.items()}


def mamba(*given: Tensor) -> Tensor:
    """mamba-ssm's kernel, which runs on GPUs alone."""
    module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    return in_mamba_layout(module.selective_scan_fn, *given)


SCANS: dict[str, Scan] = {"in use": selective_scan, "mamba-ssm": mamba, "loop": reference_scan}


def scan_passes(length: int, channels: int, device: str) -> Passes:
    """Output and the six gradients by every form."""
    g = torch.Generator().manual_seed(0)
    u, raw = (torch.randn(1, length, channels, generator=g) for _ in range(2))
    A = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    B, C = (torch.randn(1, length, STATES, generator=g) for _ in range(2))
    given = [x.to(device).requires_grad_() for x in (u, F.softplus(raw - 4), A, B, C, torch.ones(channels))]

    def run(scan: Scan) -> list[Tensor]:
        y = scan(*given)
        return [y.detach(), *torch.autograd.grad(y, given, torch.ones_like(y))]

    return {name: partial(run, scan) for name, scan in SCANS.items()}


PASSES = {"ranks": rank_passes, "scans": scan_passes}
KINDS: dict[str, tuple[str, str, Sequence[Size], Sequence[Size]]] = {
    "ranks": ("rank correlation, forward and backward", "batch × values", VALUES, VALUES),
    "scans": (f"selective scan, {STATES} states, forward and backward", "tokens × channels", TOKENS, MEMORY_TOKENS),
}
OURS = ("published, closed form", "true ranks, ours", "in use", "loop")


def passes_and_row(kind: str, size: Size, device: str) -> tuple[Passes, Row]:
    """The forms that run here, and a row that says why those of other packages cannot."""
    passes = PASSES[kind](*size, device)
    row: Row = {KINDS[kind][1]: f"{size[0]:,} × {size[1]:,}", **dict.fromkeys(passes)}
    for name, run in list(passes.items()):
        try:
            run()  # loads everything
        except (ImportError, RuntimeError, NotImplementedError, TypeError) as error:  # of others' extensions
            if name in OURS:
                raise
            row[name] = f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0][:60]}"
            del passes[name]
    return passes, row


def times(kind: str, sizes: Sequence[Size], repeats: int, device: str) -> list[Row]:
    """Milliseconds by size and form; of scans also the largest error, relative to the largest number of a tensor."""
    make_deterministic()
    rows = []
    for size in sizes:
        passes, row = passes_and_row(kind, size, device)
        if kind == "scans":
            expected = passes["loop"]()
            row |= {f"error of {name}": error(run(), expected) for name, run in passes.items() if name != "loop"}
        slow = {"loop": passes.pop("loop")} if kind == "scans" and size[0] > 2000 else {}  # minutes, several times over
        for ways, rounds in ((passes, repeats), (slow, 1)):
            row |= {name: 1e3 * median(ms) for name, ms in in_turns(ways, rounds, device=device).items()}
        rows.append(row)
    return rows


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


def memory(kind: str, sizes: Sequence[Size], device: str) -> list[Row]:
    """By how many MiB a pass raises the memory in use, by size and form."""
    make_deterministic()
    rows = []
    for size in sizes:
        passes, row = passes_and_row(kind, size, device)
        for name, run in passes.items():
            with peak_mib(device) as peak:
                run()
            row[name] = peak[1]
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
