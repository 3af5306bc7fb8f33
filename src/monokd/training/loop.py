"""The one training loop of teacher, baseline, control and student."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from monokd.errors import DataError, say
from monokd.progress import progress_bar
from monokd.samples.batch import Batch
from monokd.samples.loader import EpochLoader
from monokd.training.history import WEIGHT, history_line, write_history
from monokd.training.schedule import set_learning_rate
from monokd.training.state import StateWriter, load_state, restored, to_parameters
from monokd.training.steps import DetectionStep
from monokd.training.weights import TermWeights

if TYPE_CHECKING:
    from lightning_fabric import Fabric

READ_EVERY = 50  # steps between reads of the losses on an accelerator, each of which waits for it


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How `fit` trains.

    Attributes:
        name: of the stage, for progress and messages.
        epochs: how many; the weights of the last one count.
        rate: learning rate at (epoch, share of the epoch done).
        gradient_clip: largest norm of the gradient, 0 for no limit.
        accumulate: batches a step of the optimiser; each counts alike, whatever it holds. Left-over ones are left out.
        chunks: batches of the loader that make up one batch of a process (quirk Q5).
        zero_weight_gradients: quirk Q18: terms of weight 0 give gradients of 0, which weight decay acts on; otherwise
            none.
        compiled: whether torch compiles the step.
        evaluate: gives columns of the history beside the losses; must leave what is trained as it is.
        evaluate_every: epochs between evaluations, 0 for none; the last epoch is always among them.
        save_minutes: least time between two saved states, 0 saves after every epoch.
    """

    name: str
    epochs: int
    rate: Callable[[int, float], float]
    gradient_clip: float = 0.0
    accumulate: int = 1
    chunks: int = 1
    zero_weight_gradients: bool = False
    compiled: bool = False
    evaluate: Callable[[], dict[str, float]] | None = None
    evaluate_every: int = 0
    save_minutes: float = 0.0

    def evaluates(self, epoch: int) -> bool:
        """Tell whether `evaluate` runs after `epoch`."""
        every = self.evaluate_every if self.evaluate is not None else 0
        return bool(every) and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs)


@dataclass(slots=True)
class _Losses:
    """The sums of an epoch's terms, read from the device now and then."""

    epoch: int
    every: int
    names: list[str] = field(default_factory=list)
    pending: list[tuple[tuple[str, ...], Tensor]] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    steps: int = 0

    def add(self, frames: tuple[str, ...], terms: dict[str, Tensor]) -> None:
        self.names = list(terms)
        self.pending.append((frames, torch.stack([term.detach().float() for term in terms.values()])))
        if len(self.pending) >= self.every:
            self.read()

    def read(self) -> None:
        if not self.pending:
            return
        rows = torch.stack([values for _, values in self.pending]).tolist()
        for (frames, _), row in zip(self.pending, rows, strict=True):
            self._check(frames, row)
            self.sums = [s + v for s, v in zip(self.sums or [0.0] * len(row), row, strict=True)]
            self.steps += 1
        self.pending.clear()

    def _check(self, frames: tuple[str, ...], row: list[float]) -> None:
        for name, value in zip(self.names, row, strict=True):
            if not math.isfinite(value):
                raise DataError(
                    f"training stopped: expected finite losses, found {name} = {value} in epoch {self.epoch}, "
                    f"frames {' '.join(frames)}; the last saved state is kept"
                )

    def means(self) -> dict[str, float]:
        self.read()
        return {name: total / self.steps for name, total in zip(self.names, self.sums, strict=True)}


def fit(
    step: DetectionStep,
    loader: EpochLoader,
    settings: FitSettings,
    *,
    fabric: Fabric,
    optimiser: Optimizer,
    weights: TermWeights,
    checkpoint: Path,
    history: Path,
) -> None:
    """Train `step` in place, from `checkpoint` where one exists; write `history` after every epoch.

    Args:
        step: everything in it that needs gradients is trained.
        loader: the data; each epoch is a function of its number alone.
        settings: how.
        fabric: device, precision, processes.
        optimiser: over the parameters of `step`.
        weights: of the terms.
        checkpoint: the file of the saved state.
        history: the CSV file.

    Raises:
        DataError: a loss is not finite (names the term, epoch and frames), or fewer batches than a step takes.
        OSError: state or history cannot be written; the last saved state stays.
    """
    steps, leader = _steps(loader, settings), fabric.is_global_zero
    first, rows = _resume(checkpoint, step, optimiser, weights, report=leader)
    if first and leader:
        say(f"{settings.name}: goes on after epoch {first} of {settings.epochs}")
    if settings.compiled:
        step.compile()
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    to_parameters(optimiser)
    wrapped.train()
    writer = StateWriter(checkpoint, settings.save_minutes)
    began = time.monotonic()
    with progress_bar(visible=leader) as bar:
        task = bar.add_task(settings.name, total=settings.epochs * steps, completed=first * steps, note="")
        for epoch in range(first, settings.epochs):
            factors = weights.weights(epoch)
            losses = _Losses(epoch, 1 if fabric.device.type == "cpu" else READ_EVERY)
            batches = loader.batches(epoch)
            for done in range(steps):
                set_learning_rate(wrapped_optimiser, settings.rate(epoch, done / steps))
                _optimise(wrapped, batches, factors, losses, settings, fabric, wrapped_optimiser)
                bar.advance(task)
            means = _across_processes(fabric, losses.means())
            rows.append(_row(epoch, settings.rate(epoch, 0.0), means, factors))
            weights.record(means)
            if settings.evaluate is not None and settings.evaluates(epoch):
                rows[-1] |= settings.evaluate()
            if leader:
                if writer.due():
                    writer.write(_state(epoch + 1, step, optimiser, weights, rows))
                write_history(history, rows)
                left_s = (time.monotonic() - began) / (epoch + 1 - first) * (settings.epochs - epoch - 1)
                bar.console.print(history_line(rows[-1], settings.epochs, left_s), highlight=False, soft_wrap=True)
    writer.close()
    if leader:
        write_history(history, rows)


def _steps(loader: EpochLoader, settings: FitSettings) -> int:
    """Return the steps of the optimiser in an epoch."""
    needed = settings.accumulate * settings.chunks
    if len(loader) < needed:
        raise DataError(f"expected at least {needed} batches a step, found {len(loader)} in an epoch")
    return len(loader) // needed


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
            fabric.backward(_total(terms, factors, settings.zero_weight_gradients) / settings.accumulate)
        losses.add(tuple(frame for chunk in chunks for frame in chunk.frames), terms)
    if settings.gradient_clip:
        fabric.clip_gradients(step, optimiser, max_norm=settings.gradient_clip, error_if_nonfinite=False)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _total(terms: dict[str, Tensor], factors: dict[str, float], zero_weight_gradients: bool) -> Tensor:
    wanted = {n: term for n, term in terms.items() if factors.get(n) or (zero_weight_gradients and n in factors)}
    return torch.stack([factors[name] * term for name, term in wanted.items()]).sum()


def _row(epoch: int, rate: float, means: dict[str, float], weights: dict[str, float]) -> dict[str, float]:
    row = {"epoch": float(epoch + 1), "lr": rate}
    row["total"] = sum(weights.get(name, 0.0) * value for name, value in means.items())
    return row | means | {f"{WEIGHT}{name}": weights.get(name, 0.0) for name in means}


def _across_processes(fabric: Fabric, means: dict[str, float]) -> dict[str, float]:
    if fabric.world_size == 1:
        return means
    values = fabric.all_reduce(torch.tensor(list(means.values()), dtype=torch.float64).to(fabric.device))
    return dict(zip(means, torch.as_tensor(values).tolist(), strict=True))


def _state(
    epoch: int, step: DetectionStep, optimiser: Optimizer, weights: TermWeights, rows: list[dict[str, float]]
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "step": step.state_dict(),
        "optimiser": optimiser.state_dict(),
        "weights": weights.state_dict(),
        "rows": [dict(row) for row in rows],
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _resume(
    checkpoint: Path, step: DetectionStep, optimiser: Optimizer, weights: TermWeights, *, report: bool
) -> tuple[int, list[dict[str, float]]]:
    state = load_state(checkpoint, report=report)
    if state is None:
        return 0, []
    try:
        step.load_state_dict(state["step"])
        optimiser.load_state_dict(state["optimiser"])
        weights.load_state_dict(state["weights"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        return int(state["epoch"]), list(state["rows"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise restored(checkpoint, error) from error
