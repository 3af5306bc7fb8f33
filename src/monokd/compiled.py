"""Compilation of inner loops, with types kept."""

import hashlib
import os
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import numba

F = TypeVar("F", bound=Callable[..., object])
PACKAGE = Path(__file__).resolve().parent


def _cache_folder() -> Path:
    """Name a folder by every file, since numba watches that of a function alone, not those of constants in it."""
    code = b"".join(path.read_bytes() for path in sorted(PACKAGE.rglob("*.py")))
    digest = hashlib.sha256(numba.__version__.encode() + code)
    base = PACKAGE if os.access(PACKAGE, os.W_OK) else Path.home() / ".cache" / "monokd"
    return base / "__pycache__" / f"numba-{digest.hexdigest()[:12]}"


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]


@overload
def compiled(function: F) -> F: ...
@overload
def compiled(*, fastmath: Set[str] = frozenset(), inline: bool = False) -> Callable[[F], F]: ...
def compiled(
    function: F | None = None, *, fastmath: Set[str] = frozenset(), inline: bool = False
) -> F | Callable[[F], F]:
    """Compile `function` with numba on its first call; it releases the GIL and is cached on disk.

    Division by zero gives infinity or NaN, as in C. `fastmath` are LLVM's names of the rules of arithmetic that may be
    broken; without, nothing is reordered or fused. With `inline` it is copied into its callers, for small functions of
    inner loops: this spares reference counts.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath) or False}
    options["inline"] = "always" if inline else "never"

    def compile_it(function: F) -> F:
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError:  # the cache folder may not be written
            return cast(F, numba.njit(**options)(function))

    return compile_it if function is None else compile_it(function)
