"""The rank-correlation loss and the selective scan: time, exactness and memory of every form, ours and others'.

    python benchmarks/kernels.py [--device cuda]

Everything runs in the deterministic mode of training. Forms take turns; medians are printed, on the CPU of processor
time, with several threads their sum. Both sides of a comparison of ranks share the correlation. Memory is by how much
what is in use rises over one forward and backward pass. A form that cannot run here says why in its row.
"""

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
from monokd.distill.spearman import TRUE_RANK_STRENGTH, correlations, published_ranks
from monokd.training.devices import make_deterministic

# Levels of the published size after resizing to 12×40: 64 to 512 channels of 480 positions.
VALUES = [(batch, size) for batch in (2, 8) for size in (30_720, 61_440, 122_880, 245_760)]
STATES, REPEATS = 16, 5
TOKENS = [(480, 512), (1920, 32), (8192, 64), (30_720, 64)]  # tokens × channels
Loss = Callable[[Tensor, Tensor], Tensor]
Scan = Callable[..., Tensor]
Passes = dict[str, Callable[[], list[Tensor]]]
Size = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    for kind, (title, _, sizes) in KINDS.items():
        times, memory = in_fresh_process(measure, kind, sizes, REPEATS, device)
        show(f"{title}, ms", times)
        show(f"{title}, peak MiB beyond the inputs", memory)


def correlation_of(a: Tensor, b: Tensor) -> Tensor:
    return 1 - correlations([a], [b])[0]


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """The published loss as it is here: its regime checked, in closed form."""
    return correlation_of(a, published_ranks([b])[0])


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
    "published, torchsort": lambda a, b: correlation_of(a, torchsort.soft_rank(b, regularization_strength=1.0)),
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
KINDS: dict[str, tuple[str, str, Sequence[Size]]] = {
    "ranks": ("rank correlation, forward and backward", "batch × values", VALUES),
    "scans": (f"selective scan, {STATES} states, forward and backward", "tokens × channels", TOKENS),
}
OURS = ("published, closed form", "true ranks, ours", "in use", "loop")


def measure(kind: str, sizes: Sequence[Size], repeats: int, device: str) -> tuple[list[Row], list[Row]]:
    """Milliseconds, and by how many MiB a pass raises the memory in use, by size and form.

    Of scans also the largest error, relative to the largest number of a tensor. The forms of other packages that cannot
    run here say why.
    """
    make_deterministic()
    times, memory = [], []
    for size in sizes:
        passes, results = PASSES[kind](*size, device), {}
        ms: Row = {KINDS[kind][1]: f"{size[0]:,} × {size[1]:,}", **dict.fromkeys(passes)}
        mib = dict(ms)
        for name, run in list(passes.items()):
            try:
                run()  # loads everything
                with peak_mib(device) as peak:
                    results[name] = run()
                mib[name] = peak[1]
            except (ImportError, RuntimeError, NotImplementedError, TypeError) as error:  # of others' extensions
                if name in OURS:
                    raise
                ms[name] = f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0][:60]}"
                del passes[name]
        if kind == "scans":
            expected = results.pop("loop")
            ms |= {f"error of {name}": largest_error(found, expected) for name, found in results.items()}
        slow = {"loop": passes.pop("loop")} if kind == "scans" and size[0] > 2000 else {}  # minutes, several times over
        for ways, rounds in ((passes, repeats), (slow, 1)):
            ms |= {name: 1e3 * median(seconds) for name, seconds in in_turns(ways, rounds, device=device).items()}
        times.append(ms)
        memory.append(mib)
    return times, memory


def largest_error(found: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


if __name__ == "__main__":
    main()
