"""What the published code does differently from what it means, as one value that is handed down."""

from dataclasses import dataclass, fields
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Quirks:
    """What the published code does differently from what it means (docs/quirks.md); True is the published way."""

    shifted_task_history: bool = True
    rank_teacher_only: bool = True
    teacher_train_mode: bool = True
    per_replica_normaliser: bool = True
    drop_last_validation: bool = True
    anisotropic_decode: bool = True
    depth_scaled_twice: bool = True
    unclipped_masks: bool = True
    nan_without_depth: bool = True
    fused_flags_ignored: bool = True
    two_decimal_scores: bool = True
    running_level_sums: bool = True
    trainable_teacher_side: bool = True
    unbounded_trends: bool = True
    clamped_heights: bool = True
    zero_weight_gradients: bool = True
    published_initialisation: bool = True

    @classmethod
    def of(cls, behaviour: Literal["published", "corrected"]) -> Self:
        """All of them, or none."""
        return cls(**dict.fromkeys(QUIRK_NAMES, behaviour == "published"))


QUIRK_NAMES = tuple(field.name for field in fields(Quirks))
