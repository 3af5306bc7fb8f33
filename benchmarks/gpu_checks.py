"""Parts of `gpu.py` that hold or do not: bits that repeat, numbers that agree, kills, the speed of an epoch."""

import contextlib
import hashlib
import math
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from full_size import StepSettings, build_step, chunks_of
from gpu_tables import Found, Options
from measure import ROOT, environment
from processes import cast
from stage import prepare, train
from torch import Tensor

from monokd.distill import align_select
from monokd.distill.selective_scan import reference_scan
from monokd.distill.student import DistillationStep
from monokd.files import read_json
from monokd.models.arithmetic import set_tf32
from monokd.samples.batch import Batch
from monokd.training.devices import make_deterministic

LIMITS = {"terms, float64": 1e-4, "each gradient, float64": 1e-4, "terms, float32": 1e-3}
PUBLISHED_FRAMES, PUBLISHED_S, GOAL = 3712, 186, 3  # an epoch of the published log, on several GPUs
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
Gradients = tuple[dict[str, Tensor], dict[str, Tensor]]


def tests(options: Options) -> Found:
    """The tests that need a GPU; and a step of every loss in both behaviours, twice."""
    found = Found()
    if options.device == "cuda":
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "gpu", "tests"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())
        print(done.stdout, done.stderr)
        found.verdict(done.returncode == 0, f"tests that need a GPU: {(done.stdout.splitlines() or ['no output'])[-1]}")
    rows = []
    for method, behaviour in options.cases:
        settings = options.step(method=method, behaviour=behaviour, batch=4, tf32=True)
        first, second = options.call(repeated, settings, options.frames, options.depth)
        row = {"loss": method, "behaviour": behaviour, "sha256": first, "again": second, "same": first == second}
        rows.append(row)
    found.tables["losses and gradients of one step, deterministic mode"] = rows
    atomic = "monoasd" if options.device == "cuda" and find_spec("mamba_ssm") else ""  # its gradients are atomic sums
    text = f"every loss{f' but {atomic} (mamba-ssm)' if atomic else ''} in both behaviours repeats to the same bits"
    found.verdict(all(row["same"] for row in rows if row["loss"] != atomic), text)
    return found


def repeated(settings: StepSettings, frames: Path, depth: Path) -> list[str]:
    """Hashes of losses and gradients of a step, twice from the same seed."""
    make_deterministic()
    set_tf32(settings.tf32)
    chunks = chunks_of(settings, frames, depth)
    hashes = []
    for _ in range(2):
        terms, gradients = one_step(settings, chunks, settings.device, torch.float32)
        hashes.append(sha256(b"".join(t.numpy().tobytes() for t in (*terms.values(), *gradients.values()))))
    return hashes


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def one_step(settings: StepSettings, chunks: list[Batch], device: str, dtype: torch.dtype) -> Gradients:
    """Losses and gradients by name, on the CPU; in double precision with every cast to single lifted."""
    torch.manual_seed(0)
    with ExitStack() as stack:
        if dtype == torch.float64:
            stack.enter_context(patch.object(Tensor, "float", Tensor.double))
            scan = patch.object(align_select, "selective_scan", reference_scan)  # others know float32 alone
            stack.enter_context(scan)
        step = build_step(settings, torch.device(device)).to(dtype).to(device).train()
        if isinstance(step, DistillationStep):
            step.teacher.to(dtype)
        terms = step([cast(chunk, dtype).to(torch.device(device)) for chunk in chunks])
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
    gradients = {name: p.grad.detach().cpu() for name, p in step.named_parameters() if p.grad is not None}
    return {name: term.detach().cpu() for name, term in terms.items()}, gradients


def agree(options: Options) -> Found:
    """Losses and gradients on the CPU and on the device, without TF32.

    In double precision every term and the gradient of every parameter must agree. In single precision rounding alone
    makes up to a thousandth of the gradient: batch normalisation over few cells of a fresh network amplifies it.
    """
    found, rows = Found(), []
    set_tf32(False)
    make_deterministic()
    for method, behaviour in options.cases:
        settings = replace(options.tiny(4), method=method, behaviour=behaviour)
        chunks = chunks_of(settings, options.frames, options.depth)
        row: dict[str, Any] = {"loss": method, "behaviour": behaviour}
        for dtype in (torch.float32, torch.float64):
            plain = one_step(replace(settings, channels_last=False), chunks, "cpu", dtype)
            name, other = str(dtype).removeprefix("torch."), one_step(settings, chunks, options.device, dtype)
            terms, whole, each = differences(plain, other)
            row |= {f"terms, {name}": terms, f"whole gradient, {name}": whole, f"each gradient, {name}": each}
        rows.append(row)
    title = "largest relative differences: of a term, of the gradient over all parameters, of a parameter's"
    found.tables[title] = rows
    for key, limit in LIMITS.items():
        worst = max(float(row[key]) for row in rows)
        found.verdict(worst <= limit, f"CPU and device agree, {key}: {worst:.1e} at most, limit {limit:g}")
    return found


def differences(expected: Gradients, found: Gradients) -> tuple[float, float, float]:
    """The largest of the terms, of the whole gradient, and of a parameter's that is not nothing beside the whole."""
    terms = max(float((found[0][n] - t).abs() / t.abs().clamp(min=1e-3)) for n, t in expected[0].items())
    norms = {name: float(g.norm()) for name, g in expected[1].items()}
    changes = {name: float((found[1][name] - g).norm()) for name, g in expected[1].items()}
    whole = math.hypot(*norms.values())
    each = max(changes[name] / max(norm, 1e-6 * whole) for name, norm in norms.items())
    return terms, math.hypot(*changes.values()) / whole, each


def stop(options: Options) -> Found:
    """The student's stage, killed by signal 9 after its first epoch and started again, alone and under torchrun."""
    student = {"epochs": 2, "epoch_steps": 3, "chunk_frames": 0}
    machine = {"save_minutes": 0, "workers": 0}
    runs = [("undisturbed", [], False), ("alone", [], True), ("torchrun", TORCHRUN, True)]
    rows = []
    for name, launch, killed in runs if not options.small else (runs[0], runs[2]):
        folder = options.work / f"stop-{name}"
        prepare(folder, options.frames, options.depth, options.tiny(4), student=student, machine=machine)
        status = start([] if options.small else launch, folder, "--stop-after", "1").returncode if killed else None
        row = {"run": name, "exit status of the killed run": status}
        row |= {"went on": "goes on after epoch 1" in finish(options, launch, folder)}
        rows.append(row | {"sha256 of the weights": sha256((folder / "data/models/student.safetensors").read_bytes())})
    found = Found({"two epochs": rows})
    for row in rows[1:]:
        same = row["sha256 of the weights"] == rows[0]["sha256 of the weights"]
        text = f"{row['run']}: killed after an epoch, continued {'to the same bits' if same else 'to OTHER weights'}"
        found.verdict(same and bool(row["went on"] and row["exit status of the killed run"]), text)
    return found


def start(launch: list[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the stage in a folder, by itself or by torchrun."""
    command = [sys.executable, *launch, str(ROOT / "benchmarks/stage.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def finish(options: Options, launch: list[str], folder: Path) -> str:
    """Run the stage to its end and return what it says; in this process where it is small and by itself."""
    if options.small and not launch:
        with contextlib.chdir(folder):
            train()
        return ""
    done = start(launch, folder)
    if done.returncode:
        raise RuntimeError(f"the stage failed: {done.stderr.strip()[-300:]}")
    return done.stderr


def epoch(options: Options) -> Found:
    """The second epoch of the student's stage on synthetic frames, as params.yaml says and at its fastest."""
    rows, frames = [], 8 if options.small else PUBLISHED_FRAMES
    wanted = [options.step(behaviour="published"), options.step(precision="bf16-mixed")]
    for step in wanted[: 1 if options.small else 2]:
        student = {"epochs": 2, "epoch_steps": frames // step.batch}
        student |= {"chunk_frames": step.batch} if options.small else {}
        folder, machine = options.work / f"epoch-{step.behaviour}", {"workers": 1} if options.small else {}
        prepare(folder, options.frames, options.depth, step, student=student, machine=machine)
        finish(options, [], folder)
        seconds = read_json(folder / "epochs.json")[1]
        row = {"behaviour": step.behaviour, "precision": step.precision, "seconds": seconds}
        rows.append(row | {"images a second": student["epoch_steps"] * step.batch / seconds})
    goal, fastest = GOAL * PUBLISHED_FRAMES / PUBLISHED_S, max(row["images a second"] for row in rows)
    found = Found({f"the student by monoskd, {frames} frames, the second epoch, state and history written": rows})
    text = f"an epoch: {fastest:.0f} images a second; published {PUBLISHED_FRAMES / PUBLISHED_S:.0f}, goal {goal:.0f}"
    found.verdict(options.small or fastest >= goal, text)
    return found
