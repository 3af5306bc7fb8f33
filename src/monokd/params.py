"""params.yaml as frozen models: the only place where configuration is a tree."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from monokd.errors import DataError
from monokd.quirks import QUIRK_NAMES, Quirks
from monokd.reading import read_bytes

Positive = Annotated[int, Field(gt=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Pixels = Annotated[int, Field(gt=0, le=16_384)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ClassName = Literal["Pedestrian", "Car", "Cyclist"]
Behaviour = Literal["published", "corrected"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scenes(_Section):
    """The synthetic data set."""

    train_frames: Positive
    val_frames: Positive
    width_px: Pixels
    height_px: Pixels
    objects_per_frame: Rate
    min_distance_m: Rate
    max_distance_m: Rate
    pitch_std_rad: Weight


class Depth(_Section):
    """Where dense depth comes from: LiDAR, or a folder of the user's own PNGs."""

    source: Literal["lidar", "files"]
    files: str = ""


class Data(_Section):
    """What a sample is."""

    train_split: str
    val_split: str
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    width_px: Annotated[int, Field(ge=64, le=16_384, multiple_of=32)]
    height_px: Annotated[int, Field(ge=64, le=16_384, multiple_of=32)]


class Model(_Section):
    """The size of the detector and what its backbone starts from."""

    width: Annotated[float, Field(gt=0, le=4)]
    backbone_file: str = ""
    backbone_sha256: str = ""


class Training(_Section):
    """One training stage."""

    epochs: Positive
    batch_size: Positive
    optimiser: Literal["adam", "adamw"]
    learning_rate: Rate
    weight_decay: Weight
    schedule: Literal["steps", "cosine"]
    warmup_epochs: Count
    decay_epochs: tuple[Positive, ...]
    gradient_clip: Weight
    accumulate: Positive
    flip: Share
    crop: Share
    jitter: bool
    task_weights: bool
    evaluate_every: Count = 0


class Machine(_Section):
    """How to compute; nothing here changes what is computed, beyond rounding."""

    accelerator: Literal["auto", "cpu", "cuda"]
    precision: Literal["32", "bf16-mixed"]
    channels_last: bool
    compile: bool
    sync_batch_norm: bool
    workers: Count
    cache_images: bool

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class Predict(_Section):
    """Decoding."""

    score_threshold: Share
    batch_size: Positive


class Evaluate(_Section):
    """Scoring."""

    rule: Literal["le", "lt"]
    bootstrap: Count


class Weights(_Section):
    """Weights of the distillation terms, in the order in which these enter the loss history (quirk Q1); 0: left out."""

    affinity: Weight = 0.0
    head: Weight = 0.0
    spearman: Weight = 0.0
    foreground: Weight = 0.0
    align_select: Weight = 0.0


class Profile(_Section):
    """A data set and everything that depends on its size."""

    behaviour: Behaviour
    scenes: Scenes | None = None
    depth: Depth
    data: Data
    model: Model
    teacher: Training
    baseline: Training
    student: Training
    distillation: Weights
    machine: Machine
    predict: Predict
    evaluate: Evaluate


class Params(_Section):
    """The whole of params.yaml."""

    profile: str
    loss: str
    seed: Seed
    behaviour: Literal["profile", "published", "corrected"]
    quirks: dict[str, bool]
    launch: str = "python"
    losses: dict[str, Weights]
    profiles: dict[str, Profile]

    @property
    def active(self) -> Profile:
        """The profile in use."""
        return self.profiles[self.profile]

    @property
    def loss_weights(self) -> Weights:
        """The weights of the loss in use, times the profile's factors."""
        factors = self.active.distillation.model_dump()
        weights = self.losses[self.loss].model_dump()
        return Weights(**{name: weight * factors[name] for name, weight in weights.items()})

    @property
    def data_root(self) -> Path:
        """The KITTI folder of the profile in use."""
        return Path("data") / self.profile

    def resolved_quirks(self) -> Quirks:
        """All quirks by the behaviour in force, then the single ones that `quirks` sets."""
        behaviour = self.active.behaviour if self.behaviour == "profile" else self.behaviour
        base = Quirks(**dict.fromkeys(QUIRK_NAMES, behaviour == "published"))
        return replace(base, **self.quirks)


class _EachKeyOnce(yaml.SafeLoader):
    """YAML's plain data; a key that stands twice is refused, where YAML's own reader would take the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping of different keys, before merges and aliases repeat any."""
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = next((key for key, count in keys.items() if count > 1), None)
        if twice is not None:
            mark = next(key for key, _ in reversed(node.value) if key.value == twice).start_mark
            raise yaml.constructor.ConstructorError(None, None, f"found the key {twice[:80]!r} twice", mark)
        return node


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate params.yaml.

    Raises:
        DataError: unreadable, no YAML, an unknown key, a wrong type or value; the message names the dotted path.
    """
    content = read_bytes(path, "parameters")
    try:
        tree = yaml.load(content.decode("utf-8"), Loader=_EachKeyOnce)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DataError(f"expected YAML: {error.problem or error.context}", path, line) from error
    # ValueError: a date or a number that Python cannot hold.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"expected YAML: {error}", path) from error
    if not isinstance(tree, dict):
        raise DataError(f"expected a mapping of parameters, found {type(tree).__name__}", path)
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise DataError(_first_problem(error), path) from error
    _check_names(params, path)
    return params


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    dotted = ".".join(str(part)[:80] for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{dotted}: unknown parameter"
    if first["type"] == "missing":
        return f"{dotted}: missing parameter"
    rest = len(error.errors()) - 1
    more = f" (and {rest} more)" if rest else ""
    return f"{dotted}: {first['msg'].lower()}, found {_shown(first['input'])}{more}"


def _shown(value: object) -> str:
    """A value, shortened: aliases make a small file huge when it is written out."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to write out an integer of thousands of digits
        return "a huge number"


def _check_names(params: Params, path: str | Path) -> None:
    _check_name("profile", params.profile, params.profiles, path)
    _check_name("loss", params.loss, params.losses, path)
    for name in params.quirks:
        _check_name("quirks", name, QUIRK_NAMES, path)


def _check_name(key: str, value: str, known: Collection[str], path: str | Path) -> None:
    if value not in known:
        raise DataError(f"{key}: expected one of {', '.join(known)[:400]}, found {value[:80]!r}", path)
