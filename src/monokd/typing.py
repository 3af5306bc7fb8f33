"""Types that many modules share."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Modality: TypeAlias = Literal["image", "depth"]
"""What a detector sees: the colour image, or a dense depth map (a teacher)."""
