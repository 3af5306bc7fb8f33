"""The one training loop of teacher, baseline and student."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from monokd.errors import DataError, say
from monokd.progress import progress_bar
from monokd.samples.batch import Batch
from monokd.samples.loader import EpochLoader
from monokd.training.history import WEIGHT, history_line, write_history
from monokd.training.schedule import set_learning_rate
from monokd.training.state import load_state, save_state
from monokd.training.steps import TrainingStep
from monokd.training.weights import TermWeights

if TYPE_CHECKING:
    from lightning_fabric import Fabric

READ_EVERY = 50  # steps between reads of the losses on an accelerator


class _Recorder:
    """Sums the loss terms of an epoch without waiting for the device: what is read was sent some steps before."""

    def __init__(self, epoch: int, every: int) -> None:
        self.epoch, self.every = epoch, every
        self.names: list[str] = []
        self.pending: list[tuple[tuple[str, ...], Tensor]] = []
        self.sent: tuple[list[tuple[str, ...]], Tensor, torch.cuda.Event | None] | None = None
        self.sums: list[float] = []
        self.steps = 0

    def add(self, frames: tuple[str, ...], terms: dict[str, Tensor]) -> None:
        self.names = list(terms)
        self.pending.append((frames, torch.stack([term.detach().float() for term in terms.values()])))
        if self.every == 1:
            self.read_all()
        elif len(self.pending) >= self.every:
            self._receive()
            self._send()

    def read_all(self) -> None:
        self._receive()
        self._send()
        self._receive()

    def _send(self) -> None:
        if not self.pending:
            return
        values = torch.stack([value for _, value in self.pending]).double()
        event = torch.cuda.Event() if values.is_cuda else None  # type: ignore[no-untyped-call]
        self.sent = ([frames for frames, _ in self.pending], values.to("cpu", non_blocking=True), event)
        if event is not None:
            event.record()
        self.pending.clear()

    def _receive(self) -> None:
        if self.sent is None:
            return
        names, values, event = self.sent
        if event is not None:
            event.synchronize()
        for frames, row in zip(names, values.tolist(), strict=True):
            self._check(frames, row)
            self.sums = [s + v for s, v in zip(self.sums or [0.0] * len(row), row, strict=True)]
            self.steps += 1
        self.sent = None

    def _check(self, frames: tuple[str, ...], row: list[float]) -> None:
        for name, value in zip(self.names, row, strict=True):
            if not math.isfinite(value):
                raise DataError(
                    f"training stopped: expected finite losses, found {name} = {value} in epoch {self.epoch}, "
                    f"frames {' '.join(frames)}; the state of the last whole epoch is kept"
                )

    def means(self) -> dict[str, float]:
        self.read_all()
        return {name: total / self.steps for name, total in zip(self.names, self.sums, strict=True)}


def fit(
    step: TrainingStep,
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
    evaluate: Callable[[], dict[str, float]] | None = None,
    evaluate_every: int = 0,
) -> None:
    """Train `step` in place, from `checkpoint` where one exists; write `history` after every epoch.

    Args:
        step: everything in it that needs gradients is trained.
        loader: the data; each epoch is a function of its number alone.
        fabric: device, precision, processes.
        optimiser: over the parameters of `step`.
        rate: learning rate at (epoch, share of the epoch done).
        weights: of the terms.
        epochs: how many; the weights of the last one count.
        gradient_clip: largest norm of the gradient, 0 for no limit.
        accumulate: batches a step of the optimiser; as one batch of their frames, but for statistics over a batch
            (batch normalisation, the rank term), which are each one's own. Left-over batches are left out.
        compiled: whether torch compiles the step.
        checkpoint: the file of the saved state.
        history: the CSV file.
        description: what the progress bar says.
        evaluate: gives columns of the history beside the losses; must leave what is trained as it is.
        evaluate_every: epochs between evaluations, 0 for none; the last epoch is always among them.

    Raises:
        DataError: a loss is not finite (names the term, epoch and frames), or fewer batches than accumulate.
        OSError: state or history cannot be written; the state of the last whole epoch stays.
    """
    steps, began = _steps(loader, accumulate), time.monotonic()
    first, rows = _resume(checkpoint, step, optimiser, weights, tell=fabric.is_global_zero)
    if first and fabric.is_global_zero:
        say(f"{description}: goes on after epoch {first} of {epochs}")
    if compiled:
        step.compile()
    wrapped, wrapped_optimiser = fabric.setup(step, optimiser)
    wrapped.train()
    with progress_bar(visible=fabric.is_global_zero) as bar:
        task = bar.add_task(description, total=epochs * steps, completed=first * steps, note="")
        for epoch in range(first, epochs):
            factors = weights.weights(epoch)
            recorder = _Recorder(epoch, 1 if fabric.device.type == "cpu" else READ_EVERY)
            _run_epoch(
                wrapped, _groups(loader.batches(epoch), accumulate), factors, recorder,
                fabric=fabric, optimiser=wrapped_optimiser, rate=partial(rate, epoch), steps=steps,
                gradient_clip=gradient_clip, advance=partial(bar.advance, task),
            )  # fmt: skip
            means = _across_processes(fabric, recorder.means())
            rows.append(_row(epoch, rate(epoch, 0.0), means, factors))
            weights.record(means)
            if evaluate is not None and evaluate_every and ((epoch + 1) % evaluate_every == 0 or epoch + 1 == epochs):
                rows[-1] |= evaluate()
            if fabric.is_global_zero:
                save_state(checkpoint, _state(epoch + 1, step, optimiser, weights, rows))
                write_history(history, rows)
                left_s = (time.monotonic() - began) / (epoch + 1 - first) * (epochs - epoch - 1)
                bar.console.print(history_line(rows[-1], epochs, left_s), highlight=False, soft_wrap=True)
    if fabric.is_global_zero:
        write_history(history, rows)


def _steps(loader: EpochLoader, accumulate: int) -> int:
    """Steps of the optimiser in an epoch."""
    if len(loader) < accumulate:
        raise DataError(f"expected at least {accumulate} batches to accumulate, found {len(loader)} in an epoch")
    return len(loader) // accumulate


def _groups(batches: Iterator[Batch], accumulate: int) -> Iterator[list[Batch]]:
    """The batches of each step of the optimiser."""
    while len(group := list(islice(batches, accumulate))) == accumulate:
        yield group


def _run_epoch(
    step: Any,
    groups: Iterator[list[Batch]],
    factors: dict[str, float],
    recorder: _Recorder,
    *,
    fabric: Fabric,
    optimiser: Any,
    rate: Callable[[float], float],
    steps: int,
    gradient_clip: float,
    advance: Callable[[], None],
) -> None:
    for done, group in enumerate(groups):
        set_learning_rate(optimiser, rate(done / steps))
        for position, batch in enumerate(group):
            with fabric.no_backward_sync(step, enabled=position + 1 < len(group)):
                terms: dict[str, Tensor] = step(batch.to(fabric.device))
                total = torch.stack([factors[name] * term for name, term in terms.items() if factors.get(name)]).sum()
                fabric.backward(total / len(group))
            recorder.add(batch.frames, terms)
        if gradient_clip:
            fabric.clip_gradients(step, optimiser, max_norm=gradient_clip, error_if_nonfinite=False)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        advance()


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
    try:
        step.load_state_dict(state["step"])
        optimiser.load_state_dict(state["optimiser"])
        weights.load_state_dict(state["weights"])
        torch.set_rng_state(state["random"])
        return int(state["epoch"]), list(state["rows"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = "expected the saved state of this training, found another one; remove it to start anew"
        raise DataError(f"{reason}: {error}"[:300], checkpoint) from error
