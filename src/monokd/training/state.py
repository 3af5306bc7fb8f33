"""Everything a training stage needs to go on after a crash, outside the pipeline's outputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from monokd.errors import DataError
from monokd.files import replacing

FOLDER = Path(".checkpoints")
PACKAGE = Path(__file__).resolve().parents[1]


def fingerprint(*, settings: object, data: Iterable[Path], files: Iterable[Path]) -> str:
    """Sixteen hex digits over what decides a training run.

    Args:
        settings: plain values (JSON) of all parameters that count.
        data: folders, taken by the names, sizes and modification times of their files: hashing KITTI takes minutes.
        files: single files (start weights), taken by content; so is the whole of this package.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for folder in data:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            stat = path.stat()
            digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for path in [*sorted(PACKAGE.rglob("*.py")), *files]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def checkpoint_folder(stage: str, key: str, *, writes: bool) -> Path:
    """The folder of a stage's state; the process that `writes` makes it and removes the stage's other states."""
    folder = FOLDER / f"{stage}-{key}"
    if not writes:
        return folder
    for other in FOLDER.glob(f"{stage}-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, nested) so that `path` is always a whole file."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path) -> dict[str, Any] | None:
    """The saved state, or None where there is none. Nothing in the file is executed.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"expected saved training state, found a damaged file; remove it to start anew: {error}", path
        ) from error
    if not isinstance(state, dict):
        raise DataError(f"expected saved training state, found {type(state).__name__}; remove it to start anew", path)
    return state
