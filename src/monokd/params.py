"""params.yaml as frozen models: the only place where configuration is a tree."""

import reprlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from monokd.classes import ClassName
from monokd.errors import DataError
from monokd.files import read_bytes
from monokd.quirks import QUIRK_NAMES, Quirks
from monokd.typing import Architecture, Term

Positive = Annotated[int, Field(gt=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Behaviour = Literal["published", "corrected"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scenes(_Section):
    """The synthetic data set: how many frames, of what size, of what world."""

    train_frames: Positive  # ids have six digits, training frames first
    val_frames: Positive
    unlabelled_frames: Count = 0  # further frames, whose labels lie in a folder of their own
    width_px: Annotated[int, Field(ge=32, le=16_384)] = 1242  # the focal length scales with it
    height_px: Annotated[int, Field(ge=16, le=16_384)] = 375
    objects_per_frame: Rate = 7.0  # mean; where the street is full there are fewer
    min_distance_m: Annotated[float, Field(ge=4, allow_inf_nan=False)] = 5.0  # of objects along the camera's axis
    max_distance_m: Rate = 60.0
    pitch_std_rad: Annotated[float, Field(ge=0, le=0.03)] = 0.0125  # of the ground's slope ahead, a third sideways

    @model_validator(mode="after")
    def _check_distances(self) -> Self:
        if not self.min_distance_m < self.max_distance_m:
            found = f"{self.min_distance_m:g} and {self.max_distance_m:g}"
            raise ValueError(f"expected min_distance_m below max_distance_m, found {found}")
        return self


class Depth(_Section):
    """Where dense depth comes from: LiDAR, or a folder of the user's own PNGs."""

    source: Literal["lidar", "files"]
    files: str = ""


class Data(_Section):
    """What a sample is."""

    train_split: str
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    val_split: str
    unlabelled_split: str = ""
    unlabelled_root: str = ""
    unlabelled_every: Positive = 1
    unlabelled_apart_m: Weight = 50.0
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    width_px: Annotated[int, Field(ge=64, le=16_384, multiple_of=32)]
    height_px: Annotated[int, Field(ge=64, le=16_384, multiple_of=32)]


class Model(_Section):
    """What network the detector is, and what its backbone starts from."""

    architecture: Architecture = "dla34"
    width: Annotated[float, Field(gt=0, le=4)]
    backbone_file: str = ""
    backbone_sha256: str = ""


class Training(_Section):
    """One training stage."""

    epochs: Positive
    epoch_steps: Count = 0
    batch_size: Positive
    chunk_frames: Count = 0
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


class Method(_Section):
    """What a loss's own authors trained the student with, in place of `profiles.P.student`."""

    optimiser: Literal["adam", "adamw"] | None = None
    learning_rate: Rate | None = None


class Unlabelled(_Section):
    """How frames without labels enter the student's training."""

    boxes: Literal["teacher", "baseline", "files", "labels", "none"] = "teacher"
    files: str = ""
    share: Share = 0.5
    keep_score: Weight | None = None
    ignore_score: Weight | None = None
    score_weights: bool = False
    headings: Literal["axis", "full"] = "axis"


class Machine(_Section):
    """How to compute; nothing here changes what is computed, beyond rounding."""

    accelerator: Literal["auto", "cpu", "cuda"]
    precision: Annotated[Literal["32", "bf16-mixed"], BeforeValidator(str)]  # YAML takes 32 for a number
    threads: Count = 0
    tf32: bool = False
    channels_last: bool
    compile: bool
    sync_batch_norm: bool
    workers: Literal["auto"] | Count
    cache_images: bool
    save_minutes: Weight = 0.0


class Predict(_Section):
    """Decoding."""

    score_threshold: Share
    batch_size: Positive


class Evaluate(_Section):
    """Scoring."""

    rule: Literal["le", "lt"]
    bootstrap: Count


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
    methods: dict[str, Method] = {}
    distillation: dict[Term, Weight] = {}  # factors on the weights under losses
    unlabelled: Unlabelled = Unlabelled()
    machine: Machine
    predict: Predict
    evaluate: Evaluate

    @model_validator(mode="after")
    def _check(self) -> Self:
        data, own, size = self.data, self.unlabelled, self.student.batch_size
        keep, ignore, files = own.keep_score, own.ignore_score or 0.0, own.boxes == "files"
        # The testing half's frames have the names of labelled ones: files of both cannot be told apart.
        chosen = data.held_out > 0 and not (files and data.unlabelled_split == "test")
        problems = {
            "data.classes: expected each class once": len(set(data.classes)) < len(data.classes),
            "unlabelled.ignore_score: expected keep_score at most": keep is not None and ignore > keep,
        }
        if data.unlabelled_split:
            mixed = own.share == 1 or 0 < round(own.share * size) < size
            problems |= {
                f"unlabelled.share: expected a frame of each kind in {size}, or 1, found {own.share:g}": not mixed,
                "unlabelled.files: expected a folder of result files where boxes are files": files and not own.files,
                "unlabelled.keep_score: expected a score, without held-out frames (data.held_out) to choose it on": (
                    own.boxes not in ("labels", "none") and keep is None and not chosen
                ),
            }
        for problem in (text for text, found in problems.items() if found):
            raise ValueError(problem)
        return self


class Params(_Section):
    """The whole of params.yaml."""

    profile: str
    loss: str
    seed: Seed
    data_seed: Seed = 0
    behaviour: Literal["profile", "published", "corrected"]
    quirks: dict[str, bool]
    launch: str = "python"
    losses: dict[str, dict[Term, Weight]]
    profiles: dict[str, Profile]

    @property
    def active(self) -> Profile:
        """The profile in use."""
        return self.profiles[self.profile]

    @property
    def data_root(self) -> Path:
        """The KITTI folder of the profile in use."""
        return Path("data") / self.profile

    @property
    def unlabelled_root(self) -> Path:
        """Where the frames without labels are."""
        return Path(self.active.data.unlabelled_root or self.data_root)

    def resolved_quirks(self) -> Quirks:
        """All quirks by the behaviour in force, then the single ones that `quirks` sets."""
        behaviour = self.active.behaviour if self.behaviour == "profile" else self.behaviour
        return replace(Quirks.of(behaviour), **self.quirks)

    def term_weights(self) -> dict[str, float]:
        """The weights of the distillation terms in use, times the profile's factors; terms that are off are left out.

        With quirk Q12 a method's terms cannot be switched off: where its weight is 0, the published one stands instead.
        """
        published = PUBLISHED_WEIGHTS.get(self.loss, {}) if self.resolved_quirks().fused_flags_ignored else {}
        given, factors = self.losses[self.loss], self.active.distillation
        weights: dict[str, float] = {
            name: (given.get(name) or published.get(name, 0.0)) * factors.get(name, 1.0) for name in get_args(Term)
        }
        return {name: weight for name, weight in weights.items() if weight}

    def stage_settings(self, stage: str) -> Training:
        """How a stage trains: `profiles.P.STAGE`; the student's also with what its method's authors set."""
        if stage == "distill":
            own = self.active.methods.get(self.loss, Method())
            return self.active.student.model_copy(update=own.model_dump(exclude_none=True))
        settings: Training = getattr(self.active, "student" if stage == "control" else stage)
        return settings


PUBLISHED_WEIGHTS = {
    "monodistill": {"foreground": 10.0, "affinity": 1.0, "head": 1.0},
    "monoskd": {"affinity": 1.0, "head": 1.0, "spearman": 1.0},
    "monoasd": {"affinity": 1.0, "head": 1.0, "align_select": 10.0},
}
"""What the published methods compute whatever their flags say (quirk Q12)."""


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and validate params.yaml.

    Raises:
        DataError: unreadable, no YAML, a key twice or unknown, a wrong value; the message names the dotted path.
    """
    content = read_bytes(path, "parameters")
    try:
        tree = YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that Python cannot hold
        mark, text = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        raise DataError(f"expected YAML: {str(text)[:200]}", path, mark.line + 1 if mark else None) from error
    if not isinstance(tree, dict):
        raise DataError(f"expected a mapping of parameters, found {type(tree).__name__}", path)
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise DataError(_first_problem(error), path) from error
    _check_name("profile", params.profile, params.profiles, path)
    _check_name("loss", params.loss, params.losses, path)
    for name in params.quirks:
        _check_name("quirks", name, QUIRK_NAMES, path)
    return params


def _check_name(key: str, value: str, known: Collection[str], path: str | Path) -> None:
    if value not in known:
        raise DataError(f"{key}: expected one of {', '.join(known)[:400]}, found {value[:80]!r}", path)


def _first_problem(error: ValidationError) -> str:
    first, *others = error.errors()
    dotted = ".".join(str(part)[:80] for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        return f"{dotted}: unknown parameter"
    if first["type"] == "missing":
        return f"{dotted}: missing parameter"
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "value_error":
        return f"{dotted}: {first['ctx']['error']}{more}"
    # Shortened: aliases make a small file huge when it is written out.
    return f"{dotted}: {first['msg'].lower()}, found {reprlib.repr(first['input'])}{more}"
