"""Everything a training stage needs to go on after a crash, outside the pipeline's outputs."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from monokd.errors import say
from monokd.files import replacing
from monokd.reading import WEIGHTS_LIMIT_BYTES, read_whole

FOLDER = Path(".checkpoints")
PACKAGE = Path(__file__).resolve().parents[1]


def fingerprint(*, settings: object, files: Iterable[Path]) -> str:
    """Sixteen hex digits over what decides a training run.

    Files count by content alone, so that no clock that goes back and no copy that keeps its times leads a run to go on
    from the state of other data.

    Args:
        settings: plain values (JSON) of all parameters that count.
        files: data and start weights, in a fixed order; so is the whole of this package.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in [*sorted(PACKAGE.rglob("*.py")), *files]:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
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


def previous(path: Path) -> Path:
    """Where the state before the one in `path` stays."""
    return path.with_name(f"previous-{path.name}")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, nested); `path` is always a whole file, the one before it is kept.

    Raises:
        OSError: the disk refuses; the state that was there stays.
    """
    stream = io.BytesIO()
    torch.save(state, stream)  # torch's own writer hides why a disk refuses
    with replacing(path, durable=True) as temporary:
        temporary.write_bytes(stream.getbuffer())
        if path.exists():
            path.replace(previous(path))


def load_state(path: Path, *, tell: bool = True) -> dict[str, Any] | None:
    """The newest saved state that is whole, or None where there is none. Nothing in the files is executed.

    Args:
        path: the state; where a power loss has damaged it, the one before it serves.
        tell: say on stderr what is damaged.

    Raises:
        OSError: a file cannot be read.
    """
    damaged = False
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        state = _read(candidate)
        if state is not None:
            return state
        damaged = True
        if tell:
            say(f"{candidate}: this saved training state is damaged and cannot be used")
    if damaged and tell:
        say(f"{path}: no saved training state is left, training starts anew")
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a whole file, None of a damaged one."""
    content = io.BytesIO(read_whole(path, WEIGHTS_LIMIT_BYTES))
    try:
        with zipfile.ZipFile(content) as archive:
            if archive.testzip() is not None:  # checksums, at which torch does not look
                return None
        content.seek(0)
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # torch's reader meets arbitrary bytes and raises nearly anything
        return None
    return state if isinstance(state, dict) and isinstance(state.get("epoch"), int) else None
