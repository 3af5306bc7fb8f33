"""The layouts of published checkpoints, and what becomes of every key of one.

Layouts: a detector alone; a distillation checkpoint with the student under `centernet_rgb.`, the teacher under
`centernet_depth.` and the distillation's own modules beside them; the ImageNet DLA-34 backbone alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from monokd.errors import DataError
from monokd.models.checkpoint import COUNTER, DetectorInfo, empty_detector
from monokd.models.torch_file import TorchFile, read_torch_file

PREFIXES = {"student": "centernet_rgb.", "teacher": "centernet_depth."}
NETWORKS: dict[str, Network] = {"student": "image", "teacher": "depth"}
FULL_WIDTH_CHANNELS = 512
Network = Literal["image", "depth", "backbone"]
Status = Literal["used", "ignored", "missing"]


@dataclass(frozen=True, slots=True)
class Key:
    """What became of one key.

    Attributes:
        name: in the checkpoint (in the detector, where it is missing).
        status: used, ignored or missing.
        note: why.
        numbers: how many it holds.
    """

    name: str
    status: Status
    note: str
    numbers: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A checkpoint's network.

    Attributes:
        tensors: by their names in our detector (or in its backbone), in its order; some may be missing, which `fill`
            of `models.checkpoint` refuses.
        network: what the detector sees, or `backbone`.
        width: factor of the channels.
        prefix: of the network's keys in the checkpoint.
        keys: every key of the checkpoint, then the missing ones.
    """

    tensors: dict[str, Tensor]
    network: Network
    width: float
    prefix: str
    keys: tuple[Key, ...]

    def info(self, classes: Sequence[str] = ("Car",)) -> DetectorInfo:
        """Say what the file of this network says: input and geometry as all published ones, and its classes."""
        return DetectorInfo(
            width=self.width,
            modality="depth" if self.network == "depth" else "image",
            classes=tuple(classes),
            anisotropic_decode=True,
            clamped_heights=True,
            depth_scaled_twice=True,
        )


def read_published(path: str | Path, part: str | None = None) -> Imported:
    """Read a checkpoint in any published layout, without running code from it.

    Args:
        path: the file.
        part: `student` or `teacher`: which network of a distillation checkpoint (None: the student), and for a
            detector alone what it is.

    Raises:
        DataError: unreadable, code inside, no known layout, or no such part.
    """
    if part not in (None, *PREFIXES):
        raise DataError(f"part: expected student or teacher, found {part!r}")
    file = read_torch_file(path)
    prefix, network = _layout(file.tensors, part, path)
    found = {name.removeprefix(prefix): t for name, t in file.tensors.items() if name.startswith(prefix)}
    width = _width(found, network, path)
    detector = empty_detector(DetectorInfo(width=width))
    expected = (detector.backbone if network == "backbone" else detector).state_dict()
    tensors = {name: _standard(found[name]) for name in expected if name in found}
    keys = (*_found_keys(file, prefix, expected), *_missing_keys(expected, found))
    return Imported(tensors, network, width, prefix, keys)


def _layout(names: Mapping[str, Tensor], part: str | None, path: str | Path) -> tuple[str, Network]:
    """Give the prefix of the wanted network's keys, and what it is."""
    held = [name for name, prefix in PREFIXES.items() if any(key.startswith(prefix) for key in names)]
    if held:
        wanted = part or "student"
        if wanted not in held:
            raise DataError(f"expected a {wanted} ('{PREFIXES[wanted]}…'), found only a {held[0]}", path)
        return PREFIXES[wanted], NETWORKS[wanted]
    if any(key.startswith("backbone.") for key in names):
        return "", NETWORKS[part or "student"]
    if "base_layer.0.weight" in names:
        if part is not None:
            raise DataError(f"expected a detector to take the {part} from, found a backbone alone", path)
        return "", "backbone"
    first = next(iter(names))
    raise DataError(f"expected keys of a detector or of a DLA-34 backbone, found {first[:60]!r}", path)


def _width(found: Mapping[str, Tensor], network: Network, path: str | Path) -> float:
    name = "level5.root.conv.weight" if network == "backbone" else "backbone.level5.root.conv.weight"
    if name not in found:
        raise DataError(f"tensor {name} is missing", path)
    shape = tuple(found[name].shape)
    channels = shape[0] if len(shape) == 4 else 0
    if not 8 <= channels <= 4 * FULL_WIDTH_CHANNELS:
        raise DataError(f"tensor {name}: expected 8 to {4 * FULL_WIDTH_CHANNELS} channels, found shape {shape}", path)
    return channels / FULL_WIDTH_CHANNELS


def _found_keys(file: TorchFile, prefix: str, expected: Mapping[str, Tensor]) -> list[Key]:
    keys = []
    for name, tensor in file.tensors.items():
        used = name.startswith(prefix) and name.removeprefix(prefix) in expected
        status: Status = "used" if used else "ignored"
        keys.append(Key(name, status, "" if used else _reason(name, prefix), tensor.numel()))
    return keys + [Key(name, "ignored", "no weights", 0) for name in file.others]


def _missing_keys(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[Key]:
    return [
        Key(name, "missing", "counts batches: set to 0" if name.endswith(COUNTER) else "needed", tensor.numel())
        for name, tensor in expected.items()
        if name not in found
    ]


def _reason(name: str, prefix: str) -> str:
    other = [part for part, start in PREFIXES.items() if name.startswith(start) and start != prefix]
    if other:
        return f"the {other[0]}: --part {other[0]}"
    return "not in the network" if name.startswith(prefix) and prefix else "distillation only"


def _standard(tensor: Tensor) -> Tensor:
    # A copy, because entries of a checkpoint may share memory, which safetensors does not write.
    return tensor.detach().to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def groups(keys: Sequence[Key]) -> list[tuple[str, Status, str, int, int]]:
    """Count keys of one module with one status: (module, status, note, tensors, numbers), in order of appearance."""
    counts: dict[tuple[str, Status, str], tuple[int, int]] = {}
    for key in keys:
        group = _module(key), key.status, key.note
        tensors, numbers = counts.get(group, (0, 0))
        counts[group] = tensors + 1, numbers + key.numbers
    return [(*group, *count) for group, count in counts.items()]


def _module(key: Key) -> str:
    """`backbone.level3` and the like of the wanted network, without its prefix; whole modules of all else."""
    parts = key.name.split(".")
    if key.status == "missing" and key.name.endswith(COUNTER):
        return "*.num_batches_tracked"
    if key.status == "ignored":
        return parts[0]
    inner = parts[1:] if f"{parts[0]}." in PREFIXES.values() else parts
    return ".".join(inner[: 2 if inner[0] in ("backbone", "feat_up") else 1])
