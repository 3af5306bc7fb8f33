"""The objects of a frame, as columns."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monokd.typing import Bools, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Label or result lines of one frame in file order, N of them."""

    names: tuple[str, ...]  # N class names as written
    truncation: Floats  # N, 0 to 1 (−1 where a file does not say)
    occlusion: Floats  # N, 0 visible, 1 partly, 2 largely, 3 unknown (−1 where a file does not say)
    alpha_rad: Floats  # N observation angles
    boxes_px: Floats  # N×4 left, top, right, bottom
    sizes_m: Floats  # N×3 height, width, length
    locations_m: Floats  # N×3, the centre of the bottom face in rectified camera coordinates
    rotation_y_rad: Floats  # N headings about the camera's y axis
    scores: Floats  # N, higher is surer; all NaN in labels

    def __len__(self) -> int:
        """N."""
        return len(self.names)

    def select(self, chosen: Bools | NDArray[np.intp]) -> Self:
        """The objects that a mask or an index array chooses."""
        index = np.arange(len(self))[chosen]
        names = tuple(self.names[i] for i in index)
        return type(self)(names, *(getattr(self, column.name)[index] for column in fields(self)[1:]))


def from_rows(names: tuple[str, ...], rows: Floats) -> Objects:
    """Objects from N×15 rows: the numbers of KITTI lines in the file's order, the score last (NaN in labels)."""
    rows = rows.reshape(-1, 15)
    (truncation, occlusion, alpha), (rotation_y, scores) = rows[:, :3].T, rows[:, 13:].T
    return Objects(names, truncation, occlusion, alpha, rows[:, 3:7], rows[:, 7:10], rows[:, 10:13], rotation_y, scores)
