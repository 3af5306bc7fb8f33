"""kitti.json, read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monokd.errors import DataError
from monokd.files import read_json
from monokd.report.tables import Metrics

SETS = ("strict", "loose")


def read_metrics(path: str | Path) -> Metrics:
    """What `monokd evaluate --json` or the evaluate stage wrote.

    Raises:
        DataError: unreadable, no JSON, or an AP that is neither null nor from 0 to 100; names its dotted place.
    """
    tree = read_json(path)
    if not isinstance(tree, dict) or not any(name in tree for name in SETS):
        raise DataError(f"expected results with {' or '.join(SETS)}, found none", path)
    for name in SETS:
        for place, value in _leaves(tree.get(name, {}), name, 3):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value <= 100):
                raise DataError(f"{place}: expected percent from 0 to 100, or null, found {str(value)[:40]!r}", path)
    return tree


def _leaves(tree: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Dotted place and value of everything at `depth` (class, metric, level), and of what is no mapping before."""
    if depth == 0:
        yield place, tree
    elif not isinstance(tree, Mapping):
        yield place, f"no mapping but {str(tree)[:20]}"
    else:
        for key in tree:
            yield from _leaves(tree[key], f"{place}.{str(key)[:40]}", depth - 1)
