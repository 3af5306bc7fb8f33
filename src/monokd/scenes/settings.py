"""What the scenes are like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How many frames, of what size, of what world.

    Raises:
        ValueError: a count, size or range that makes no scene.
    """

    train_frames: int = 0  # ids have six digits, training frames first
    val_frames: int = 0
    unlabelled_frames: int = 0  # further frames, whose labels lie in a folder of their own
    width_px: int = 1242  # the focal length scales with it
    height_px: int = 375
    objects_per_frame: float = 7.0  # mean; where the street is full there are fewer
    min_distance_m: float = 5.0  # of objects along the camera's axis, at least 4
    max_distance_m: float = 60.0
    pitch_std_rad: float = 0.0125  # of the ground's slope ahead (a third of it sideways); KITTI's

    def __post_init__(self) -> None:
        """Refuse what makes no scene."""
        demands = {
            "frame counts of 0 or more": min(self.train_frames, self.val_frames, self.unlabelled_frames) >= 0,
            "images of at least 32×16 pixels": self.width_px >= 32 and self.height_px >= 16,
            "4 ≤ min_distance_m < max_distance_m": 4.0 <= self.min_distance_m < self.max_distance_m,
            "pitch_std_rad up to 0.03": abs(self.pitch_std_rad) <= 0.03,
        }
        for expected, holds in demands.items():
            if not holds:
                raise ValueError(f"scenes need {expected}, found {self}")
