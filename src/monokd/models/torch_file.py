"""Tensors on disk, as safetensors or as torch writes them. No file can run code."""

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from monokd.errors import DataError
from monokd.files import read_bytes

LIMIT_BYTES = 4 << 30
WRAPPERS = ("model_state", "state_dict", "model")


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a file of tensors holds."""

    tensors: dict[str, Tensor]  # by name, without wrappers and without DataParallel's `module.` prefix
    others: tuple[str, ...]  # names of the entries that are no weights
    metadata: dict[str, str]  # texts that a safetensors file carries


def read_torch_file(path: str | Path) -> TorchFile:
    """Read a safetensors file, or a checkpoint that torch wrote; wrappers such as `model_state` are opened.

    Raises:
        DataError: unreadable, larger than 4 GiB, damaged, code inside, or no tensors.
    """
    content = read_bytes(path, "file of weights", LIMIT_BYTES)
    metadata: dict[str, str] = {}
    try:
        # safetensors begins with the length of a JSON header and its brace; torch's files are zips or pickles.
        if content[8:9] == b"{":
            entries: Mapping[Any, Any] = safetensors.torch.load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            metadata = header.get("__metadata__", {})
        else:
            entries = _checkpoint(content)
    except pickle.UnpicklingError as error:
        reason = "refused: expected tensors only, found code that would run, or other content"
        raise DataError(reason, path) from error
    except Exception as error:
        # The readers meet arbitrary bytes and raise nearly anything; whatever it is, the file is refused.
        reason = str(error).strip().partition("\n")[0][:160] or type(error).__name__
        raise DataError(f"expected a file of tensors: {reason}", path) from error
    others: list[str] = []
    for wrapper in WRAPPERS:
        if isinstance(entries.get(wrapper), Mapping):
            others += [str(name) for name in entries if name != wrapper]
            entries = entries[wrapper]
    tensors = {str(k).removeprefix("module."): v for k, v in entries.items() if isinstance(v, Tensor)}
    others += [str(k) for k, v in entries.items() if not isinstance(v, Tensor)]
    if not tensors:
        raise DataError("expected tensors, found none", path)
    if len(tensors) < sum(isinstance(value, Tensor) for value in entries.values()):
        raise DataError("expected each tensor once, found names with and without 'module.'", path)
    return TorchFile(tensors, tuple(others), metadata)


def _checkpoint(content: bytes) -> Mapping[Any, Any]:
    """Read what `torch.save` wrote; its zips by checksum, which torch does not compare."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # torch stores members as they are; a compressed one could explode
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
            if not plain or archive.testzip() is not None:
                raise ValueError("found a damaged archive")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols, before they are refused
        entries = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(entries, Mapping):
        raise TypeError(f"found a {type(entries).__name__} instead of a dictionary")
    return entries
