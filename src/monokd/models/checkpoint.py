"""A detector's file: its weights in safetensors, and what they need to be used rightly. And the ImageNet backbone."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import safetensors.torch
import torch
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from monokd.classes import CLASSES
from monokd.errors import DataError
from monokd.files import read_bytes, replacing
from monokd.models.detector import Detector, build_detector
from monokd.models.torch_file import LIMIT_BYTES, read_torch_file
from monokd.quirks import Quirks
from monokd.samples.dataset import InputSettings
from monokd.typing import Architecture, Modality

FORMAT: Literal["monokd detector 2"] = "monokd detector 2"
BACKBONE_FORMAT = "monokd backbone 1"
COUNTER = "num_batches_tracked"


def _known_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names) or not set(names) <= set(CLASSES):
        raise ValueError(f"should be some of {', '.join(CLASSES)}")
    return names


Side = Annotated[int, Field(ge=32, le=16_384, multiple_of=32)]


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What a detector file says about its network; whoever uses the network does as the file says."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    width: Annotated[float, Field(gt=0, le=4)] = 1.0  # factor of its channels
    modality: Modality = "image"  # what it sees; `depth` is a teacher
    classes: Annotated[tuple[str, ...], AfterValidator(_known_classes)] = CLASSES  # that it was trained on
    height_px: Side = 384  # of the input that it was trained on
    width_px: Side = 1280  # of the input that it was trained on
    anisotropic_decode: bool = False  # quirk Q7, how it maps feature boxes to the image
    clamped_heights: bool = False  # quirk Q17, how it scales the visual depth
    depth_scaled_twice: bool = False  # quirk Q8, the scale of depth that it was trained with, where it sees depth
    architecture: Architecture = "dla34"

    def input_settings(self) -> InputSettings:
        """What frames become for this network."""
        return InputSettings(self.height_px, self.width_px, self.classes, self.depth_scaled_twice, (self.modality,))


@dataclass(frozen=True, slots=True)
class _Stored:
    """The metadata of a detector file."""

    format: Literal["monokd detector 2"]
    info: DetectorInfo


def save_detector(detector: Detector, path: str | Path, info: DetectorInfo) -> None:
    """Write a detector file, whole or not at all; equal weights give equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()}
    _save(tensors, path, asdict(_Stored(FORMAT, info)))


def load_detector(path: str | Path, modality: Modality | None = None) -> tuple[Detector, DetectorInfo]:
    """Read a file that `save_detector` wrote; the detector is on the CPU and in training mode.

    Raises:
        DataError: unreadable, no detector file, of another modality, or tensors that do not fit.
    """
    file = read_torch_file(path)
    info = _read_info(file.metadata, path)
    if modality is not None and info.modality != modality:
        raise DataError(f"expected a detector that sees {modality}, found one that sees {info.modality}", path)
    detector = empty_detector(info)
    fill(detector, file.tensors, path)
    return detector, info


def empty_detector(info: DetectorInfo) -> Detector:
    """Build a detector without memory for its tensors (on the meta device); draws no random numbers."""
    quirks = Quirks(anisotropic_decode=info.anisotropic_decode, clamped_heights=info.clamped_heights)
    with torch.device("meta"):
        return build_detector(info.width, quirks=quirks, architecture=info.architecture)


def load_backbone(detector: Detector, path: str | Path, sha256: str | None) -> None:
    """Initialise `detector.backbone` from a local ImageNet file (keys as under `backbone.`).

    `sha256` is the file's hash, whole or its first 8 digits or more; None trusts the file.

    Raises:
        DataError: another hash, unreadable, tensors missing or of another shape.
    """
    if sha256 is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
            raise DataError(f"expected 8 to 64 hexadecimal digits of a SHA-256, found {sha256!r}", path)
        digest = hashlib.sha256(read_bytes(path, "file", LIMIT_BYTES)).hexdigest()
        if not digest.startswith(sha256.lower()):
            raise DataError(f"expected SHA-256 {sha256.lower()}, found {digest}", path)
    fill(detector.backbone, read_torch_file(path).tensors, path)


def save_backbone(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Write a backbone's tensors for `load_backbone`, whole or not at all."""
    _save(tensors, path, {"format": BACKBONE_FORMAT})


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Put a file's tensors in the place of the module's; counters of batches, which old files lack, start at 0.

    Raises:
        DataError: a tensor is missing or unknown, or of another shape or type, or not finite.
    """
    expected = module.state_dict()
    for name, tensor in tensors.items():
        if name in expected and (tensor.dtype != expected[name].dtype or not bool(tensor.isfinite().all())):
            raise DataError(f"tensor {name}: expected finite {expected[name].dtype}, found others", path)
    zeros = {name: torch.zeros_like(t, device="cpu") for name, t in expected.items() if name.endswith(COUNTER)}
    try:
        module.load_state_dict(zeros | dict(tensors), assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[1].split())[:240]
        raise DataError(f"expected the tensors of a {type(module).__name__}: {reason}", path) from error


def _save(tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, object]) -> None:
    # One key only: the format does not keep the order of several.
    content = safetensors.torch.save(dict(tensors), metadata={"monokd": json.dumps(metadata)})
    with replacing(path, durable=True) as temporary:  # safetensors' own writer hides why a disk refuses
        temporary.write_bytes(content)


def _read_info(metadata: Mapping[str, str], path: str | Path) -> DetectorInfo:
    """Check what a detector file says about itself before it decides how much memory is taken."""
    try:
        return TypeAdapter(_Stored).validate_json(metadata.get("monokd", "{}")).info
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg'].lower()}, found {first['input']!r:.80}"
        raise DataError(f"expected a detector file, as `monokd import` makes one: {reason}", path) from error
