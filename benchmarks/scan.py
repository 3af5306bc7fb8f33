"""The selective scan against a plain sequential loop: time, exactness, and memory over tokens.

    python benchmarks/scan.py [--threads 2] [--repeats 5] [--device cpu] [--skip-long]

Times are CPU seconds of forward and backward together (with several threads:
their sum); forms take turns, and medians are printed. Memory is the rise of the process's
peak (on CUDA: the allocator's) over one forward and backward pass, each in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from monokd.distill.scan_chunked import ChunkedScan
from monokd.distill.selective_scan import reference_scan, selective_scan

STATES = 16
Scan = Callable[..., Tensor]
FORMS: dict[str, Scan] = {"ours": selective_scan, "chunked": ChunkedScan.apply, "sequential": reference_scan}


def inputs(length: int, channels: int, device: str) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    u, raw = (torch.randn(1, length, channels, generator=g) for _ in range(2))
    A = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    B, C = (torch.randn(1, length, STATES, generator=g) for _ in range(2))
    tensors = (u, F.softplus(raw - 4), A, B, C, torch.ones(channels))
    return [x.to(device).requires_grad_() for x in tensors]


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def clock(device: str) -> float:
    """Seconds; on the CPU those of this process alone, so that a busy machine hardly matters."""
    return time.process_time() if device == "cpu" else time.perf_counter()


def run(scan: Scan, given: list[Tensor], device: str) -> tuple[float, list[Tensor]]:
    """Seconds, and the output with the six gradients."""
    wait(device)
    start = clock(device)
    y = scan(*given)
    gradients = torch.autograd.grad(y, given, torch.ones_like(y))
    wait(device)
    return clock(device) - start, [y.detach(), *gradients]


def speed(length: int, channels: int, repeats: int, device: str) -> None:
    """One row a form; the sequential loop of a long sequence runs once or twice only."""
    given = inputs(length, channels, device)
    results: dict[str, list[Tensor]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in FORMS}
    for i in range(repeats + 1):
        for name, scan in FORMS.items():
            if name == "sequential" and length > 2000 and i > 1:
                continue
            taken, results[name] = run(scan, given, device)
            if i > 0:
                seconds[name].append(taken)
    plain = median(seconds["sequential"])
    for name, times in seconds.items():
        error = max(
            float((a - b).abs().max() / b.abs().max())
            for a, b in zip(results[name], results["sequential"], strict=True)
        )
        took = median(times)
        print(
            f"{length:>6} × {channels:<4} {name:<11} {took * 1e3:>10.1f} ms  {plain / took:>6.1f}×  error {error:.1e}"
        )


def peak_kb() -> int:
    """Peak resident memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def peak_mb(name: str, length: int, channels: int, device: str) -> float:
    """Rise of the peak in MB over one pass, after a pass over a few tokens has loaded everything."""
    run(FORMS[name], inputs(64, channels, device), device)
    given = inputs(length, channels, device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(FORMS[name], given, device)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is resident
    before = peak_kb()
    run(FORMS[name], given, device)
    return (peak_kb() - before) / 1e3


def memory(channels: int, device: str) -> None:
    print(f"\nPeak memory of a pass over {channels} channels, MB")
    print(f"{'tokens':>8}" + "".join(f"{name:>12}" for name in FORMS))
    for length in (1024, 2048, 4096, 8192):
        row = []
        for name in FORMS:
            command = [sys.executable, __file__, "--peak", name, str(length), str(channels), "--device", device]
            row.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        print(f"{length:>8}" + "".join(f"{mb:>12.1f}" for mb in row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--skip-long", action="store_true", help="without the 30,720 tokens")
    parser.add_argument("--peak", nargs=3, metavar=("FORM", "TOKENS", "CHANNELS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        name, length, channels = options.peak
        print(peak_mb(name, int(length), int(channels), options.device))
        return
    print(f"Selective scan, {STATES} states, batch 1, {options.threads} threads, {options.device}")
    for length, channels in ((480, 512), (1920, 32), (30720, 64)):
        if length < 30720 or not options.skip_long:
            speed(length, channels, options.repeats, options.device)
    memory(64, options.device)


if __name__ == "__main__":
    main()
