"""Types that the packages share: arrays, and the names that parameters and files may hold."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Uint16s = NDArray[np.uint16]
Modality = Literal["image", "depth"]
Architecture = Literal["dla34"]
WEIGHT = "weight_"  # begins the names of task weights in histories
Term = Literal["foreground", "affinity", "head", "spearman", "align_select"]  # of the distillation
