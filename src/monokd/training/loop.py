"""The one training loop of teacher, baseline, control and student."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from monokd.errors import DataError, say
from monokd.losses.task_weights import TaskWeights
from monokd.progress import progress_bar
from monokd.samples.batch import Batch
from monokd.samples.loader import EpochLoader
from monokd.training.history import history_line, write_history
from monokd.training.state import StateWriter, load_state
from monokd.training.steps import DetectionStep
from monokd.typing import WEIGHT

READ_EVERY = 50  # steps between reads of the losses on an accelerator, each of which waits for it


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How `fit` trains."""

    name: str  # of the stage, for progress and messages
    epochs: int  # the weights of the last one count
    rate: Callable[[int, float], float]  # learning rate at (epoch, share of the epoch done)
    weights: Mapping[str, float] = field(default_factory=dict)  # constant ones, of the distillation terms
    gradient_clip: float = 0.0  # largest norm of the gradient, 0 for no limit
    accumulate: int = 1  # batches a step of the optimiser; each counts alike, whatever it holds
    chunks: int = 1  # batches of the loader that make up one batch of a process (quirk Q5)
    # quirk Q18: terms of weight 0 give gradients of 0, which weight decay acts on; otherwise none
    zero_weight_gradients: bool = False
    evaluate: Callable[[], dict[str, float]] | None = None  # gives more columns of the history; trains nothing
    evaluate_every: int = 1  # epochs between evaluations; the last epoch is always among them
    save_minutes: float = 0.0  # least time between two saved states, 0 saves after every epoch


@dataclass(slots=True)
class _Losses:
    """The sums of an epoch's terms, read from the device every so many steps."""

    epoch: int
    every: int
    pending: list[tuple[tuple[str, ...], dict[str, Tensor]]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0

    def add(self, frames: tuple[str, ...], terms: dict[str, Tensor]) -> None:
        self.pending.append((frames, {name: term.detach() for name, term in terms.items()}))
        if len(self.pending) >= self.every:
            self.read()

    def read(self) -> None:
        if not self.pending:
            return
        rows = torch.stack([torch.stack([*terms.values()]).float() for _, terms in self.pending]).tolist()
        for (frames, terms), row in zip(self.pending, rows, strict=True):
            for name, value in zip(terms, row, strict=True):
                if not math.isfinite(value):
                    raise DataError(
                        f"training stopped: expected finite losses, found {name} = {value} in epoch {self.epoch}, "
                        f"frames {' '.join(frames)}; the last saved state is kept"
                    )
                self.sums[name] = self.sums.get(name, 0.0) + value
            self.steps += 1
        self.pending.clear()

    def means(self) -> dict[str, float]:
        self.read()
        return {name: total / self.steps for name, total in self.sums.items()}


def fit(
    step: DetectionStep,
    loader: EpochLoader,
    settings: FitSettings,
    *,
    fabric: Fabric,
    optimiser: Optimizer,
    tasks: TaskWeights,
    checkpoint: Path,
    history: Path,
) -> None:
    """Train `step` in place, from `checkpoint` where one exists; write `history` after every epoch.

    Each epoch of `loader` is a function of its number alone; batches left over from whole steps are left out. `tasks`
    weighs the detection terms. The first process alone reads and writes files: the saved state and the history's CSV.

    Raises:
        DataError: a loss is not finite (names the term, epoch and frames), or fewer batches than a step takes.
        OSError: state or history cannot be written; the last saved state stays.
    """
    needed, leader = settings.accumulate * settings.chunks, fabric.is_global_zero
    if len(loader) < needed:
        raise DataError(f"expected at least {needed} batches a step, found {len(loader)} in an epoch")
    steps = len(loader) // needed
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    kept: dict[str, Any] = {"step": step, "optimiser": optimiser, "tasks": tasks}
    rows = _resume(checkpoint, kept, fabric)  # after setup: the optimiser's tensors go to its device
    first = len(rows)
    if first and leader:
        say(f"{settings.name}: goes on after epoch {first} of {settings.epochs}")
    wrapped.train()
    writer = StateWriter(checkpoint, settings.save_minutes)
    seed, began = torch.initial_seed(), time.monotonic()
    with progress_bar(visible=leader) as bar:
        task = bar.add_task(settings.name, total=settings.epochs * steps, completed=first * steps, note="")
        for epoch in range(first, settings.epochs):
            torch.manual_seed(seed + epoch)  # a step that draws numbers, for dropout say, goes on with the same bits
            factors = tasks.update(rows[-1] if rows else {}, epoch) | dict(settings.weights)
            losses = _Losses(epoch, 1 if fabric.device.type == "cpu" else READ_EVERY)
            batches = loader.batches(epoch)
            for done in range(steps):
                for group in optimiser.param_groups:
                    group["lr"] = settings.rate(epoch, done / steps)
                _optimise(wrapped, batches, factors, losses, settings, fabric, wrapped_optimiser)
                bar.advance(task)
            means = _across_processes(fabric, losses.means())
            rows.append(_row(epoch, settings.rate(epoch, 0.0), means, factors))
            last = epoch + 1 == settings.epochs
            if settings.evaluate is not None and (last or (epoch + 1) % settings.evaluate_every == 0):
                rows[-1] |= settings.evaluate()
            if leader:
                if writer.due():
                    states = {name: each.state_dict() for name, each in kept.items()}
                    writer.write({"epoch": len(rows), "rows": rows, **states})
                write_history(history, rows)
                left_s = (time.monotonic() - began) / (epoch + 1 - first) * (settings.epochs - epoch - 1)
                bar.console.print(history_line(rows[-1], settings.epochs, left_s), highlight=False, soft_wrap=True)
    writer.close()
    if leader:
        write_history(history, rows)


def _optimise(
    step: Any,
    batches: Iterator[Batch],
    factors: dict[str, float],
    losses: _Losses,
    settings: FitSettings,
    fabric: Fabric,
    optimiser: Any,
) -> None:
    """Do one step of the optimiser."""
    for position in range(settings.accumulate):
        chunks = [batch.to(fabric.device) for batch in islice(batches, settings.chunks)]
        with fabric.no_backward_sync(step, enabled=position + 1 < settings.accumulate):
            terms: dict[str, Tensor] = step(chunks)
            kept = [n for n in terms if factors.get(n) or (settings.zero_weight_gradients and n in factors)]
            total = torch.stack([factors[name] * terms[name] for name in kept]).sum()
            fabric.backward(total / settings.accumulate)
        losses.add(tuple(frame for chunk in chunks for frame in chunk.frames), terms)
    if settings.gradient_clip:
        fabric.clip_gradients(step, optimiser, max_norm=settings.gradient_clip, error_if_nonfinite=False)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _row(epoch: int, rate: float, means: dict[str, float], weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.get(name, 0.0) * value for name, value in means.items())
    row = {"epoch": float(epoch + 1), "lr": rate, "total": total}
    return row | means | {f"{WEIGHT}{name}": weights.get(name, 0.0) for name in means}


def _across_processes(fabric: Fabric, means: dict[str, float]) -> dict[str, float]:
    if fabric.world_size == 1:
        return means
    values = fabric.all_reduce(torch.tensor(list(means.values()), dtype=torch.float64).to(fabric.device))
    return dict(zip(means, torch.as_tensor(values).tolist(), strict=True))


def _resume(checkpoint: Path, kept: Mapping[str, Any], fabric: Fabric) -> list[dict[str, float]]:
    """Restore what the first process finds saved, in every process; return the history so far."""
    state = fabric.broadcast(load_state(checkpoint) if fabric.is_global_zero else None)
    if state is None:
        return []
    try:
        for name, each in kept.items():
            each.load_state_dict(state[name])
        return list(state["rows"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = "expected the saved state of this training, found another one; remove it to start anew"
        raise DataError(f"{reason}: {error}"[:300], checkpoint) from error
