"""Weights on disk: our safetensors file, the published layouts, the ImageNet backbone. No file can run code."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from monokd.errors import DataError
from monokd.files import write_bytes
from monokd.models.detector import Detector, build_detector
from monokd.reading import check_archive, check_file
from monokd.samples.constants import CLASSES

FORMAT = "monokd detector 1"
BACKBONE_FORMAT = "monokd backbone 1"
KINDS = ("rgb", "depth")
MAX_WIDTH = 4
MAX_SIDE_PX = 16_384
WRAPPERS = ("model_state", "state_dict", "model")


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What a detector file says about itself.

    Attributes:
        width: factor of its channels.
        kind: `rgb` for a colour detector, `depth` for a teacher.
        classes: names of class ids.
        anisotropic_decode: whether it maps feature boxes as published (quirk Q7).
        clamped_heights: whether it scales the visual depth as published (quirk Q17).
        height_px: of the input that it was trained on.
        width_px: of the input that it was trained on.
    """

    width: float = 1.0
    kind: str = "rgb"
    classes: tuple[str, ...] = CLASSES
    anisotropic_decode: bool = True
    clamped_heights: bool = True
    height_px: int = 384
    width_px: int = 1280


def save_detector(detector: Detector, path: str | Path, info: DetectorInfo) -> None:
    """Write a safetensors file with a checksum, whole or not at all; equal weights give equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()}
    # One metadata key only: the format does not keep the order of several.
    words = asdict(info)
    metadata = {"monokd": json.dumps({"format": FORMAT, **words, "crc32": checksum(tensors, words)})}
    # safetensors' own writer hides why a disk refuses
    write_bytes(path, save(tensors, metadata=metadata), durable=True)


def load_detector(path: str | Path, kind: str | None = None) -> tuple[Detector, DetectorInfo]:
    """Read a file that `save_detector` wrote; the detector is on the CPU and in training mode.

    Args:
        path: the file.
        kind: what the file must hold; None takes either.

    Raises:
        DataError: unreadable, no detector of ours, of another kind, not as it was written (older files have no
            checksum), or tensors that do not fit.
    """
    info, words, crc32 = _read_words(path)
    if kind is not None and info.kind != kind:
        raise DataError(f"expected a detector of kind {kind}, found {info.kind}", path)
    tensors = read_torch_file(path).tensors
    if crc32 is not None and crc32 != checksum(tensors, words):
        raise DataError("expected a detector as it was written, found one whose checksum differs", path)
    expected = empty_detector(info).state_dict()
    odd = sorted(expected.keys() ^ tensors.keys())
    if odd:
        raise DataError(f"expected the tensors of a detector, found {odd[0]} missing or unknown", path)
    check_fit(tensors, expected, path)
    return detector_of(tensors, info), info


def empty_detector(info: DetectorInfo) -> Detector:
    """A detector without memory for its tensors (on the meta device), for their names and shapes."""
    with torch.device("meta"):
        return build_detector(
            info.width, anisotropic_decode=info.anisotropic_decode, clamped_heights=info.clamped_heights
        )


def detector_of(tensors: Mapping[str, Tensor], info: DetectorInfo) -> Detector:
    """The detector that holds `tensors`, which must be complete; draws no random numbers."""
    detector = empty_detector(info)
    detector.load_state_dict(tensors, assign=True)
    return detector


def read_info(path: str | Path) -> DetectorInfo:
    """What a detector file of ours says about itself.

    Raises:
        DataError: unreadable, or not written by `save_detector`.
    """
    return _read_words(path)[0]


def checksum(tensors: Mapping[str, Tensor], words: Mapping[str, object]) -> int:
    """CRC-32 over everything in a detector file: words as they stand there, names, types, shapes, numbers."""
    value = zlib.crc32(json.dumps(words).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        value = zlib.crc32(f"{name} {tensor.dtype} {_shape(tensor)}".encode(), value)
        value = zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data, value)
    return value


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a checkpoint holds.

    Attributes:
        tensors: by name, without wrappers and without a `module.` prefix.
        others: names of the entries that are no weights.
    """

    tensors: dict[str, Tensor]
    others: tuple[str, ...]


def read_torch_file(path: str | Path) -> TorchFile:
    """Read a safetensors file, or a checkpoint that torch wrote; no code of the file runs.

    Wrappers (`model_state` and the like) are opened and a `module.` prefix (DataParallel's) is dropped.

    Raises:
        DataError: unreadable, code inside, or no tensors.
    """
    path = Path(path)
    entries = _read_any(path)
    others: list[str] = []
    for wrapper in WRAPPERS:
        inner = entries.get(wrapper)
        if isinstance(inner, Mapping):
            others += [str(name) for name in entries if name != wrapper]
            entries = inner
    tensors = {str(k).removeprefix("module."): v for k, v in entries.items() if isinstance(v, Tensor)}
    others += [str(k) for k, v in entries.items() if not isinstance(v, Tensor)]
    if not tensors:
        raise DataError("expected tensors, found none", path)
    if len(tensors) + len(others) < len(entries):
        raise DataError("expected each tensor once, found names with and without 'module.'", path)
    return TorchFile(tensors, tuple(others))


def load_backbone(detector: Detector, path: str | Path, sha256: str | None) -> None:
    """Initialise `detector.backbone` from an ImageNet DLA-34 file (keys as under `backbone.`).

    Args:
        detector: changed in place.
        path: a local file; nothing is downloaded.
        sha256: the file's hash, whole or its first 8 digits or more; None trusts the file.

    Raises:
        DataError: another hash, unreadable, tensors missing or of another shape.
    """
    if sha256 is not None:
        check_sha256(path, sha256)
    tensors = read_torch_file(path).tensors
    expected = detector.backbone.state_dict()
    check_fit(tensors, expected, path)
    detector.backbone.load_state_dict({k: tensors.get(k, v) for k, v in expected.items()})


def save_backbone(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Write a backbone's tensors for `load_backbone`, whole or not at all."""
    write_bytes(path, save(dict(tensors), metadata={"monokd": json.dumps({"format": BACKBONE_FORMAT})}), durable=True)


def check_fit(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: str | Path, *, partial: bool = False
) -> None:
    """Refuse tensors that are missing, of another shape or not finite; counters of batches may be missing.

    Args:
        tensors: of a file.
        expected: tensors of the right shapes.
        path: the file, for the message.
        partial: any may be missing.

    Raises:
        DataError: naming the first at fault.
    """
    for name, wanted in expected.items():
        if name not in tensors:
            if partial or name.endswith("num_batches_tracked"):
                continue
            raise DataError(f"tensor {name} is missing", path)
        found = tensors[name]
        if found.shape != wanted.shape:
            raise DataError(f"tensor {name}: expected shape {_shape(wanted)}, found {_shape(found)}", path)
        if found.layout != torch.strided or found.is_floating_point() != wanted.is_floating_point():
            raise DataError(f"tensor {name}: expected {wanted.dtype} numbers, found {found.layout} {found.dtype}", path)
        if found.is_meta or found.is_complex() or not bool(torch.isfinite(found).all()):
            raise DataError(f"tensor {name}: expected finite numbers", path)
        if name.endswith("running_var") and bool((found < 0).any()):
            raise DataError(f"tensor {name}: expected variances, found a negative number", path)


def check_sha256(path: str | Path, expected: str) -> None:
    """Compare the file's SHA-256 with `expected`, all 64 digits or the first 8 or more.

    Raises:
        DataError: another hash, or `expected` is none.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{8,64}", expected):
        raise DataError(f"expected 8 to 64 hexadecimal digits of a SHA-256, found {expected!r}", path)
    check_file(path, "file")
    try:
        with Path(path).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path) from error
    if not digest.startswith(expected.lower()):
        raise DataError(f"expected SHA-256 {expected.lower()}, found {digest}", path)


def _read_words(path: str | Path) -> tuple[DetectorInfo, dict[str, object], int | None]:
    """What a detector file says about itself, the same as it stands there, and its checksum where it has one.

    An older file lacks the newest words; their defaults are what held when it was written.
    """
    try:
        check_file(path, "detector")
        with safetensors.safe_open(path, framework="pt") as stream:
            stored = (stream.metadata() or {}).get("monokd", "{}")
        fields = json.loads(stored)
        if fields.pop("format", None) != FORMAT:
            raise DataError(f"expected a file that says '{FORMAT}'; `monokd import` makes one", path)
        crc32 = fields.pop("crc32", None)
        info = DetectorInfo(**{**fields, "classes": tuple(fields["classes"])})
    except OSError as error:
        raise DataError(f"cannot read the detector: {error.strerror or error}", path) from error
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"expected a detector in safetensors: {_first_line(error)}", path) from error
    _check_info(info, path)
    return info, fields, crc32


def _check_info(info: DetectorInfo, path: str | Path) -> None:
    """Refuse what no detector has, before it decides how much memory is taken."""
    sizes = info.height_px, info.width_px
    if type(info.width) not in (int, float) or not 0 < info.width <= MAX_WIDTH:
        raise DataError(f"width: expected a number above 0, at most {MAX_WIDTH}, found {info.width!r}", path)
    if info.kind not in KINDS:
        raise DataError(f"kind: expected {' or '.join(KINDS)}, found {info.kind!r}", path)
    if any(type(size) is not int or not 32 <= size <= MAX_SIDE_PX or size % 32 for size in sizes):
        raise DataError(f"height_px, width_px: expected multiples of 32, found {sizes}", path)
    for name in ("anisotropic_decode", "clamped_heights"):
        if not isinstance(getattr(info, name), bool):
            raise DataError(f"{name}: expected true or false, found {getattr(info, name)!r}", path)
    known = all(name in CLASSES for name in info.classes)
    if not info.classes or not known or len(set(info.classes)) < len(info.classes):
        raise DataError(f"classes: expected some of {', '.join(CLASSES)}, found {info.classes}", path)


def _read_any(path: Path) -> Mapping[object, object]:
    if not path.exists():
        raise DataError("no such checkpoint", path)
    check_file(path, "checkpoint")
    with path.open("rb") as stream:
        head = stream.read(9)
    if head.startswith(b"PK"):
        check_archive(path)
    # safetensors begins with the length of a JSON header and its brace; torch's files are zips or pickles.
    entries = _read_safetensors(path) if head[8:] == b"{" else _read_torch(path)
    if not isinstance(entries, Mapping):
        raise DataError(f"expected a dictionary of tensors, found {type(entries).__name__}", path)
    return entries


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(f"expected a safetensors file: {_first_line(error)}", path) from error


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, before the refusal below
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(_refusal(str(error), path), path) from error
    except Exception as error:
        # The reader meets arbitrary bytes and raises nearly anything; whatever it is, the file is refused.
        raise DataError(f"expected a checkpoint of tensors: {_first_line(error)}", path) from error
    return loaded


def _refusal(message: str, path: Path) -> str:
    """Why torch's reader of plain tensors stopped; its own words would advise to run the code."""
    named = re.search(r"GLOBAL (\S+)", message)
    if named:
        return f"refused: expected tensors only, found code: the file asks for {named.group(1)}"
    with path.open("rb") as stream:
        start = stream.read(2)
    if start[:1] == b"\x80" or start == b"PK":
        return "refused: expected tensors only, found a pickle that may run code"
    return "expected a checkpoint that torch wrote, found other content"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
