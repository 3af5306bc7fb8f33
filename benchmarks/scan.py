"""The selective scan against a plain sequential loop: time, exactness, and memory over tokens.

    python benchmarks/scan.py [--threads 2] [--repeats 5] [--device cpu]

Times are CPU seconds of forward and backward together (with several threads: their sum); forms take turns of at least
50 ms, and medians over all passes are printed. `first` is the median of each turn's first pass, which finds the caches
full of another form's numbers. Memory is by how much what is in use rises (on CUDA: what torch allocates) over one
forward and backward pass.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from monokd.distill.selective_scan import reference_scan, selective_scan
from monokd.files import write_json

STATES = 16
TURN_S = 0.05
MIB = 2**20
Scan = Callable[..., Tensor]
FORMS: dict[str, Scan] = {"ours": selective_scan, "sequential": reference_scan}


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


def speed(length: int, channels: int, repeats: int, device: str) -> list[dict[str, Any]]:
    """One row a form, errors relative to the largest number of the output and of each gradient.

    The sequential loop of a long sequence runs once or twice only.
    """
    given = inputs(length, channels, device)
    results: dict[str, list[Tensor]] = {}
    turns: dict[str, list[list[float]]] = {name: [] for name in FORMS}
    for i in range(repeats + 1):
        for name, scan in FORMS.items():
            if name == "sequential" and length > 2000 and i > 1:
                continue
            seconds, results[name] = turn(scan, given, device)
            if i > 0:
                turns[name].append(seconds)
    plain = median(chain(*turns["sequential"]))
    rows = []
    for name, of_form in turns.items():
        error = max(
            float((a - b).abs().max() / b.abs().max())
            for a, b in zip(results[name], results["sequential"], strict=True)
        )
        took, first = median(chain(*of_form)), median(seconds[0] for seconds in of_form)
        print(
            f"{length:>6} × {channels:<4} {name:<11} {took * 1e3:>10.1f} ms  {plain / took:>6.1f}×  "
            f"first {first * 1e3:>8.1f} ms  error {error:.1e}",
            flush=True,
        )
        row = {"tokens": length, "channels": channels, "form": name, "ms": 1e3 * took, "first_ms": 1e3 * first}
        rows.append(row | {"error": error})
    return rows


def turn(scan: Scan, given: list[Tensor], device: str) -> tuple[list[float], list[Tensor]]:
    """Seconds of every pass, and what the last one gave."""
    seconds: list[float] = []
    while sum(seconds) < TURN_S:
        taken, result = run(scan, given, device)
        seconds.append(taken)
    return seconds, result


def memory(lengths: Sequence[int], channels: int, device: str, *, here: bool) -> dict[str, list[float]]:
    """Peak memory by form and length, on the CPU in a process of its own, and the slope over the lengths."""
    if here:
        found = peaks(lengths, channels, device)
    else:
        # Every larger block is mapped and given back when it is freed, so that the resident size is what is held.
        command = [sys.executable, __file__, "--peaks", str(channels), *map(str, lengths)]
        settings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
        found = json.loads(done.stdout)
    print(f"\nPeak memory of a pass over {channels} channels beyond its inputs, MiB")
    header = "".join(f"{length:>9}" for length in lengths)
    print(f"{'tokens':<12}{header}   MiB per thousand tokens   largest distance from the line")
    for name, mib in found.items():
        slope, start = np.polyfit(lengths, mib, 1)
        off = max(abs(start + slope * length - m) for length, m in zip(lengths, mib, strict=True)) / max(*mib, 1e-9)
        numbers = "".join(f"{m:>9.1f}" for m in mib)
        print(f"{name:<12}{numbers}{1e3 * slope:>26.2f}{100 * off:>31.1f} %", flush=True)
    return found


def peaks(lengths: Sequence[int], channels: int, device: str) -> dict[str, list[float]]:
    """MiB by which the memory in use rises over one pass; a pass over a few tokens has loaded everything before."""
    found = {}
    for name, scan in FORMS.items():
        run(scan, inputs(64, channels, device), device)
        found[name] = [rise_mib(scan, inputs(length, channels, device), device) for length in lengths]
    return found


def rise_mib(scan: Scan, given: list[Tensor], device: str) -> float:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(scan, given, device)
        return (torch.cuda.max_memory_allocated() - before) / MIB
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is resident
    before = resident_kib("VmRSS")
    run(scan, given, device)
    return (resident_kib("VmHWM") - before) / 1024


def resident_kib(kind: Literal["VmRSS", "VmHWM"]) -> int:
    """Resident memory of this process, now or at its peak (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(kind)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--quick", action="store_true", help="few tokens only, once")
    parser.add_argument("--out", type=Path, help="JSON of both tables")
    parser.add_argument("--peaks", nargs="+", type=int, metavar="CHANNELS TOKENS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peaks:
        print(json.dumps(peaks(options.peaks[1:], options.peaks[0], options.device)))
        return
    sizes, lengths, repeats = [(480, 512), (1920, 32), (30720, 64)], [1024, 2048, 4096, 8192], options.repeats
    if options.quick:
        sizes, lengths, repeats = [(48, 8)], [64, 128], 1
    tables: dict[str, Any] = {}
    if options.only in (None, "speed"):
        print(f"Selective scan, {STATES} states, batch 1, {options.threads} threads, {options.device}")
        tables["speed"] = [row for size in sizes for row in speed(*size, repeats, options.device)]
    if options.only in (None, "memory"):
        tables["mib"] = {"tokens": lengths} | memory(
            lengths, 64, options.device, here=options.quick or options.device != "cpu"
        )
    if options.out:
        write_json(options.out, tables)


if __name__ == "__main__":
    main()
