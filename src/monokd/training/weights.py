"""The weight of every loss term: tasks by their history, distillation terms by their constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monokd.losses.task_weights import TaskWeights


class TermWeights:
    """Weights for `monokd.training.loop.fit`.

    Args:
        tasks: hierarchical weights of the detection terms.
        distillation: constant weights of the distillation terms.
    """

    def __init__(self, tasks: TaskWeights, distillation: Mapping[str, float]) -> None:
        self.tasks, self.distillation = tasks, dict(distillation)
        self._means: dict[str, float] = {}

    def weights(self, epoch: int) -> dict[str, float]:
        """The weights of `epoch`; call it once an epoch, in order."""
        return self.tasks.update(self._means, epoch) | self.distillation

    def record(self, means: Mapping[str, float]) -> None:
        """Take the epoch means of the unweighted terms."""
        self._means = dict(means)

    def state_dict(self) -> dict[str, Any]:
        """Everything that resuming needs."""
        return {"tasks": self.tasks.state_dict(), "means": dict(self._means)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.tasks.load_state_dict(state["tasks"])
        self._means = dict(state["means"])
