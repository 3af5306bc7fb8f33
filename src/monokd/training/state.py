"""Everything a training stage needs to go on after a crash, outside the pipeline's outputs."""

import hashlib
import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils._pytree import tree_map_only

from monokd.errors import say
from monokd.files import WEIGHTS_LIMIT_BYTES, read_whole, replacing

FOLDER = Path(".checkpoints")
KEPT_STATES = 5  # of other runs
PROJECT = Path(__file__).resolve().parents[3]


def fingerprint(stage: str, settings: object, files: Iterable[Path]) -> str:
    """Return sixteen hex digits over what decides a training run.

    These are the stage's code as far as dvc.yaml lists it, `settings` as JSON, and `files` of data and start weights in
    a fixed order. They count by content alone, so that no clock that goes back and no copy that keeps its times leads a
    run to go on from the state of other data.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in [*stage_code(stage), *files]:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def stage_code(stage: str) -> list[Path]:
    """Return the source files that dvc.yaml lists for a stage: DVC reruns, and a state ends, by one list."""
    listed = PROJECT / "dvc.yaml"
    if not listed.is_file():  # installed without the pipeline
        return sorted(Path(__file__).resolve().parents[1].rglob("*.py"))
    names = yaml.safe_load(listed.read_text())["stages"][stage]["deps"]
    deps = [PROJECT / name for name in names if name.endswith(".py") or name.startswith("src/")]
    return [path for dep in deps for path in (sorted(dep.rglob("*.py")) if dep.is_dir() else [dep])]


def checkpoint_folder(stage: str, key: str) -> Path:
    """Make the folder of a stage's state.

    States of other runs stay, the newest `KEPT_STATES` of all stages; what is kept and what goes is said on stderr.
    """
    folder = FOLDER / f"{stage}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    others = [other for other in FOLDER.iterdir() if other != folder and other.is_dir()]
    others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
    for other in others[KEPT_STATES:]:
        say(f"{other}: the state of an older run is removed, as {KEPT_STATES} newer ones are kept")
        shutil.rmtree(other, ignore_errors=True)
    if others:
        count = min(len(others), KEPT_STATES)
        say(f"{FOLDER}: keeps {count} states of other unfinished runs; remove it to clear them")
    return folder


def previous(path: Path) -> Path:
    """Name the file of the state before the one in `path`."""
    return path.with_name(f"previous-{path.name}")


class StateWriter:
    """Writes states in the background, at most one every `minutes`; with 0 each, and waits for it."""

    def __init__(self, path: Path, minutes: float = 0.0) -> None:
        self.path, self.seconds, self.written = path, 60 * minutes, time.monotonic()
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def due(self) -> bool:
        """Tell whether it is time for a state."""
        return time.monotonic() - self.written >= self.seconds

    def write(self, state: dict[str, Any]) -> None:
        """Copy `state` from the device and begin to write it; OSError where the disk refuses it or the one before."""
        self.close()
        self.written = time.monotonic()
        copied = tree_map_only(Tensor, lambda value: value.detach().to("cpu", copy=True), state)
        self._pending = self._pool.submit(save_state, self.path, copied)
        if self.seconds == 0:
            self.close()

    def close(self) -> None:
        """Wait until the last state is written; OSError where the disk refuses it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


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


def load_state(path: Path) -> dict[str, Any] | None:
    """Return the newest saved state that is whole, or None where there is none. Nothing in the files is executed.

    Where a power loss has damaged the one in `path`, the one before it serves; that is said on stderr.

    Raises:
        OSError: a file cannot be read.
    """
    for candidate in (path, previous(path)):
        if candidate.exists():
            state = _read(candidate)
            if state is not None:
                return state
            say(f"{candidate}: this saved training state is damaged and cannot be used")
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """Read a whole file; None of a damaged one."""
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
