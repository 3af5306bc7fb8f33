"""What the scenes are like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How many frames, of what size, of what world, seen by what sensors.

    Attributes:
        train_frames, val_frames: how many labelled frames; ids have six digits, training frames first.
        unlabelled_frames: how many further frames, whose labels lie apart from the others.
        width_px, height_px: of the images; the focal length scales with the width.
        objects_per_frame: mean number of objects that are placed; where the street is full there are fewer.
        class_shares: weights of Car, Pedestrian, Cyclist.
        min_distance_m, max_distance_m: of objects along the camera's axis; the nearest at least 4.
        max_hidden_share: how much of an object's width others may hide.
        clutter: density of buildings, trees, poles; 1 a street, 0 an empty plain.
        pitch_std_rad: spread of the ground's slope ahead (a third of it sideways); KITTI's is 0.0125.
        sector_deg: the scan's width, below 170.
        azimuth_step_deg: the distance of its columns.
        range_noise_m: standard deviation of measured ranges.
        dropout: scales the share of lost returns, 0 keeps all.

    Raises:
        ValueError: a count, size or range that makes no scene.
    """

    train_frames: int = 0
    val_frames: int = 0
    unlabelled_frames: int = 0
    width_px: int = 1242
    height_px: int = 375
    objects_per_frame: float = 7.0
    class_shares: tuple[float, float, float] = (0.72, 0.17, 0.11)
    min_distance_m: float = 5.0
    max_distance_m: float = 60.0
    max_hidden_share: float = 0.75
    clutter: float = 1.0
    pitch_std_rad: float = 0.0125
    sector_deg: float = 90.0
    azimuth_step_deg: float = 0.17
    range_noise_m: float = 0.02
    dropout: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what makes no scene."""
        shares = self.class_shares
        demands = (
            (min(self.train_frames, self.val_frames, self.unlabelled_frames) >= 0, "frame counts of 0 or more"),
            (self.width_px >= 32 and self.height_px >= 16, "images of at least 32×16 pixels"),
            (4.0 <= self.min_distance_m < self.max_distance_m, "4 ≤ min_distance_m < max_distance_m"),
            (len(shares) == 3 and min(shares) >= 0 < max(shares), "three class shares, none below zero, one above"),
            (0 < self.azimuth_step_deg < self.sector_deg < 170, "0 < azimuth_step_deg < sector_deg < 170"),
            (0 <= self.dropout <= 1 and self.range_noise_m >= 0, "dropout in 0 to 1 and range_noise_m of 0 or more"),
            (abs(self.pitch_std_rad) <= 0.03, "pitch_std_rad up to 0.03"),
        )
        for holds, expected in demands:
            if not holds:
                raise ValueError(f"scenes need {expected}, found {self}")
