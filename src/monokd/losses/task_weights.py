"""Hierarchical task learning: a term starts to count when those it builds on have settled (GUPNet, Lu et al. 2021)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError

DETECTION_TERMS = ("offset2d", "size2d", "depth", "offset3d", "size3d", "heading", "seg")
"""The published order of terms, which quirk Q1 depends on."""

WAITS_FOR: dict[str, tuple[str, ...]] = {
    "seg": (),
    "offset2d": (),
    "size2d": (),
    "offset3d": ("size2d", "offset2d"),
    "size3d": ("size2d", "offset2d"),
    "heading": ("size2d", "offset2d"),
    "depth": ("size2d", "size3d", "offset2d"),
}


class TaskWeights:
    """Weights of the detection terms over the epochs; all are 1 from the start where it is not `enabled`.

    The weight of a waiting term is t^(1 − Π c), t = min((epoch − window) / (ramp_epochs − window), 1); for each term it
    waits for, c = 1 − relu(d/d₀), d its trend over the last `window` epoch means, d₀ the first trend seen.

    With quirk Q1 (`shifted_task_history`) the history of a distillation run holds `distillation_terms` first, but is
    read at the positions of the detection terms alone, so a trend belongs to another term than its name says.
    With `unbounded_trends`, as published, c falls below 0 where a term falls faster than at first; two such factors
    make a positive product, and the weight can grow far beyond 1. Without, c is at least 0 and weights at most 1.
    """

    def __init__(
        self,
        *,
        window: int = 5,
        ramp_epochs: int = 140,
        shifted_task_history: bool = False,
        distillation_terms: Sequence[str] = (),
        enabled: bool = True,
        unbounded_trends: bool = False,
    ) -> None:
        self.window, self.ramp_epochs, self.enabled = window, ramp_epochs, enabled
        self.unbounded_trends = unbounded_trends
        shifted = (*distillation_terms, *DETECTION_TERMS)[: len(DETECTION_TERMS)]
        self.tracked = shifted if shifted_task_history else DETECTION_TERMS
        self._history: list[list[float]] = []
        self._first_trend: list[float] | None = None

    def update(self, epoch_means: Mapping[str, float], epoch: int) -> dict[str, float]:
        """Return the weights to train `epoch` (from 0) with, and remember the means of the epoch before it.

        Call it once at the start of every epoch; `epoch_means` are of unweighted terms (DataError where one that the
        trends need is missing), and not kept at epoch 0.
        """
        weights = {name: 1.0 if not before or not self.enabled else 0.0 for name, before in WAITS_FOR.items()}
        if not self.enabled or epoch == 0:
            return weights
        missing = [name for name in self.tracked if name not in epoch_means]
        if missing:
            raise DataError(f"task weights: expected the loss terms {', '.join(self.tracked)}, missing {missing}")
        if len(self._history) == self.window:
            weights |= self._waiting_weights(epoch)
            self._history.pop(0)
        self._history.append([float(epoch_means[name]) for name in self.tracked])
        return weights

    def _waiting_weights(self, epoch: int) -> dict[str, float]:
        settled = dict(zip(DETECTION_TERMS, self._settled(), strict=True))
        time = min((epoch - self.window) / (self.ramp_epochs - self.window), 1.0)
        return {
            name: time ** (1.0 - float(np.prod([settled[earlier] for earlier in before])))
            for name, before in WAITS_FOR.items()
            if before
        }

    def _settled(self) -> NDArray[np.float64]:
        """1 where a term no longer falls, 0 where it falls as at first; below that where it falls faster."""
        history = np.array(self._history)
        trend = (history[:-2] - history[2:]).mean(0)
        if self._first_trend is None:
            self._first_trend = trend.tolist()
        first = np.array(self._first_trend)
        ratio = np.divide(trend, first, out=np.zeros_like(trend), where=first != 0)
        settled: NDArray[np.float64] = 1.0 - np.maximum(ratio, 0.0)
        return settled if self.unbounded_trends else np.maximum(settled, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Everything that resuming needs, as plain numbers."""
        return {"history": [list(row) for row in self._history], "first_trend": self._first_trend}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._history, self._first_trend = [list(row) for row in state["history"]], state["first_trend"]
