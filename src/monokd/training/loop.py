"""The one training loop of teacher, baseline and student."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from monokd.errors import DataError, say
from monokd.progress import progress_bar
from monokd.samples.loader import EpochLoader
from monokd.training.history import WEIGHT, history_line, write_history
from monokd.training.schedule import set_learning_rate
from monokd.training.state import load_state, save_state
from monokd.training.weights import TermWeights

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from rich.progress import Progress, TaskID

READ_EVERY = 50  # steps between reads of the losses on an accelerator: each read waits for the device


class _Recorder:
    """Sums the loss terms of an epoch without waiting for the device at every step."""

    def __init__(self, epoch: int, every: int) -> None:
        self.epoch, self.every = epoch, every
        self.names: list[str] = []
        self.pending: list[tuple[tuple[str, ...], Tensor]] = []
        self.sums: list[float] = []
        self.steps = 0

    def add(self, frames: tuple[str, ...], terms: dict[str, Tensor]) -> None:
        self.names = list(terms)
        self.pending.append((frames, torch.stack([term.detach().float() for term in terms.values()])))
        if len(self.pending) >= self.every:
            self.read()

    def read(self) -> None:
        if not self.pending:
            return
        values = torch.stack([value for _, value in self.pending]).double().cpu()
        for (frames, _), row in zip(self.pending, values.tolist(), strict=True):
            self._check(frames, row)
            self.sums = [s + v for s, v in zip(self.sums or [0.0] * len(row), row, strict=True)]
            self.steps += 1
        self.pending.clear()

    def _check(self, frames: tuple[str, ...], row: list[float]) -> None:
        for name, value in zip(self.names, row, strict=True):
            if not math.isfinite(value):
                raise DataError(
                    f"training stopped: expected finite losses, found {name} = {value} in epoch {self.epoch}, "
                    f"frames {' '.join(frames)}; the state of the last whole epoch is kept"
                )

    def means(self) -> dict[str, float]:
        self.read()
        return {name: total / self.steps for name, total in zip(self.names, self.sums, strict=True)}


def fit(
    step: nn.Module,
    loader: EpochLoader,
    *,
    fabric: Fabric,
    optimiser: Optimizer,
    rate: Callable[[int, float], float],
    weights: TermWeights,
    epochs: int,
    gradient_clip: float,
    accumulate: int,
    compiled: bool,
    checkpoint: Path,
    history: Path,
    description: str,
) -> None:
    """Train `step` in place, from `checkpoint` where one exists; write `history` after every epoch.

    Args:
        step: maps a Batch to named loss terms (scalars); everything in it that needs gradients is trained.
        loader: the data; each epoch is a function of its number alone.
        fabric: device, precision, processes.
        optimiser: over the parameters of `step`.
        rate: learning rate at (epoch, share of the epoch done).
        weights: of the terms.
        epochs: how many; the weights of the last one count.
        gradient_clip: largest norm of the gradient, 0 for no limit.
        accumulate: batches a step of the optimiser.
        compiled: whether torch compiles the step.
        checkpoint: the file of the saved state.
        history: the CSV file.
        description: what the progress bar says.

    Raises:
        DataError: a loss is not finite (names the term, epoch and frames).
        OSError: state or history cannot be written; the state of the last whole epoch stays.
    """
    first, rows = _resume(checkpoint, step, optimiser, weights, tell=fabric.is_global_zero)
    if first and fabric.is_global_zero:
        say(f"{description}: goes on after epoch {first} of {epochs}")
    if compiled:
        step.compile()
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    wrapped.train()
    with progress_bar(visible=fabric.is_global_zero) as bar:
        task = bar.add_task(description, total=epochs * len(loader), completed=first * len(loader), note="")
        for epoch in range(first, epochs):
            factors = weights.weights(epoch)
            recorder = _Recorder(epoch, 1 if fabric.device.type == "cpu" else READ_EVERY)
            _run_epoch(
                wrapped, loader, epoch, factors, recorder,
                fabric=fabric, optimiser=wrapped_optimiser, rate=rate, gradient_clip=gradient_clip,
                accumulate=accumulate, bar=bar, task=task,
            )  # fmt: skip
            means = _across_processes(fabric, recorder.means())
            rows.append(_row(epoch, rate(epoch, 0.0), means, factors))
            weights.record(means)
            if fabric.is_global_zero:
                save_state(checkpoint, _state(epoch + 1, step, optimiser, weights, rows))
                write_history(history, rows)
                bar.console.print(history_line(rows[-1], epochs), highlight=False, soft_wrap=True)
    if fabric.is_global_zero:
        write_history(history, rows)


def _run_epoch(
    step: Any,
    loader: EpochLoader,
    epoch: int,
    factors: dict[str, float],
    recorder: _Recorder,
    *,
    fabric: Fabric,
    optimiser: Any,
    rate: Callable[[int, float], float],
    gradient_clip: float,
    accumulate: int,
    bar: Progress,
    task: TaskID,
) -> None:
    count = len(loader)
    for index, batch in enumerate(loader.batches(epoch)):
        set_learning_rate(optimiser, rate(epoch, index / count))
        terms: dict[str, Tensor] = step(batch.to(fabric.device))
        total = torch.stack([factors[name] * term for name, term in terms.items() if factors.get(name)]).sum()
        last = (index + 1) % accumulate == 0 or index + 1 == count
        with fabric.no_backward_sync(step, enabled=not last):
            fabric.backward(total / accumulate)
        if last:
            if gradient_clip:
                fabric.clip_gradients(step, optimiser, max_norm=gradient_clip, error_if_nonfinite=False)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        recorder.add(batch.frames, terms)
        bar.advance(task)


def _row(epoch: int, rate: float, means: dict[str, float], weights: dict[str, float]) -> dict[str, float]:
    row = {"epoch": float(epoch + 1), "lr": rate}
    row["total"] = sum(weights.get(name, 0.0) * value for name, value in means.items())
    return row | means | {f"{WEIGHT}{name}": weights.get(name, 0.0) for name in means}


def _across_processes(fabric: Fabric, means: dict[str, float]) -> dict[str, float]:
    if fabric.world_size == 1:
        return means
    values = fabric.all_reduce(torch.tensor(list(means.values()), dtype=torch.float64), reduce_op="mean")
    return dict(zip(means, torch.as_tensor(values).tolist(), strict=True))


def _state(
    epoch: int, step: nn.Module, optimiser: Optimizer, weights: TermWeights, rows: list[dict[str, float]]
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "step": step.state_dict(),
        "optimiser": optimiser.state_dict(),
        "weights": weights.state_dict(),
        "rows": rows,
        "random": torch.get_rng_state(),
    }


def _resume(
    checkpoint: Path, step: nn.Module, optimiser: Optimizer, weights: TermWeights, *, tell: bool
) -> tuple[int, list[dict[str, float]]]:
    state = load_state(checkpoint, tell=tell)
    if state is None:
        return 0, []
    step.load_state_dict(state["step"])
    optimiser.load_state_dict(state["optimiser"])
    weights.load_state_dict(state["weights"])
    torch.set_rng_state(state["random"])
    return int(state["epoch"]), list(state["rows"])
