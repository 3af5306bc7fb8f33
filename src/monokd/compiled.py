"""Compilation of inner loops, with types kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` with numba on its first call; it releases the GIL and is cached on disk.

    Division by zero gives infinity or NaN, as in C. numba's cache watches the function's own file only, so a
    compiled function must not call compiled functions of other files.
    """
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
