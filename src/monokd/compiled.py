"""Compilation of inner loops, with types kept.

Neither DVC's stages nor numba's cache look at this file: after an edit remove `__pycache__` and force the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, TypeVar, cast, overload

import numba

F = TypeVar("F", bound=Callable[..., object])


@overload
def compiled(function: F) -> F: ...
@overload
def compiled(*, fastmath: Set[str] = frozenset(), inline: bool = False) -> Callable[[F], F]: ...
def compiled(
    function: F | None = None, *, fastmath: Set[str] = frozenset(), inline: bool = False
) -> F | Callable[[F], F]:
    """Compile `function` with numba on its first call; it releases the GIL and is cached on disk.

    Division by zero gives infinity or NaN, as in C. numba's cache watches the function's own file only, so a
    compiled function must not call compiled functions of other files.

    Args:
        function: what to compile; without, a decorator.
        fastmath: LLVM's names of the rules of arithmetic that may be broken, such as `reassoc`; without,
            operations are neither reordered nor fused.
        inline: copied into its callers, for small functions of inner loops: this spares reference counts.
    """

    def compile_it(function: F) -> F:
        options: dict[str, Any] = {
            "nogil": True,
            "error_model": "numpy",
            "fastmath": set(fastmath) or False,
            "inline": "always" if inline else "never",
        }
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError:  # neither the folder of the source nor the user's own may be written
            return cast(F, numba.njit(**options)(function))

    return compile_it if function is None else compile_it(function)
