"""What the parts of `gpu.py` take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from full_size import METHODS, StepSettings
from measure import Row, apart

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Options:
    """Where and on what a part runs.

    Attributes:
        device: cuda, or cpu in its place.
        small: tiny sizes and no processes apart.
        work: a folder that goes away.
        frames: a KITTI folder.
        depth: dense depth of its frames.
    """

    device: str
    small: bool
    work: Path
    frames: Path
    depth: Path

    @property
    def losses(self) -> tuple[str, ...]:
        """All, or one."""
        return ("monoskd",) if self.small else METHODS

    def step(self, **changes: Any) -> StepSettings:
        """A step at the published size, or a tiny one."""
        return replace(self.tiny(2) if self.small else StepSettings(batch=16, steps=12, device=self.device), **changes)

    def tiny(self, batch: int) -> StepSettings:
        """A step that takes milliseconds."""
        return StepSettings(height_px=64, width_px=128, width=0.125, batch=batch, steps=2, device=self.device)

    def apart(self, function: Callable[..., R], *arguments: object) -> R:
        """Call a function in a process of its own, so that its memory and settings are; in this one where small."""
        return function(*arguments) if self.small else apart(function, *arguments)


@dataclass(slots=True)
class Found:
    """What a part found: tables by title, and verdicts."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def verdict(self, holds: bool, text: str) -> None:
        """Add a verdict."""
        self.verdicts.append({"holds": bool(holds), "text": text})
