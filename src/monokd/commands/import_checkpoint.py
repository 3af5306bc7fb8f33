"""The `monokd import` command: a published checkpoint becomes a file of ours, with an account of every key.

Layouts: a detector alone; a distillation checkpoint with the student under `centernet_rgb.`, the teacher under
`centernet_depth.` and the distillation's own modules beside them; the ImageNet DLA-34 backbone alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import pandas as pd
import torch
import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from torch import Tensor

from monokd.classes import CLASSES
from monokd.errors import DataError, printable
from monokd.models.checkpoint import COUNTER, DetectorInfo, empty_detector, fill, save_backbone, save_detector
from monokd.models.torch_file import TorchFile, read_torch_file

Network = Literal["image", "depth", "backbone"]
Status = Literal["used", "ignored", "missing"]
PREFIXES = {"student": "centernet_rgb.", "teacher": "centernet_depth."}
NETWORKS: dict[str, Network] = {"student": "image", "teacher": "depth"}
FULL_WIDTH_CHANNELS = 512
COLOURS: dict[Status, str] = {"used": "green", "ignored": "yellow", "missing": "red"}


class Key(NamedTuple):
    """What became of one key of a checkpoint, or of a key of our network that it lacks."""

    name: str
    status: Status
    note: str  # why
    numbers: int  # how many it holds


@dataclass(frozen=True, slots=True)
class Imported:
    """A checkpoint's network."""

    tensors: dict[str, Tensor]  # by their names in our detector (or in its backbone); some may be missing
    network: Network  # what the detector sees, or `backbone`
    width: float  # factor of the channels
    prefix: str  # of the network's keys in the checkpoint
    keys: tuple[Key, ...]  # every key of the checkpoint, then the missing ones


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A published checkpoint (.pth).")],
    out: Annotated[Path, typer.Argument(help="The model file to write.")],
    part: Annotated[str | None, typer.Option(help="student or teacher, of a distillation checkpoint.")] = None,
    classes: Annotated[str, typer.Option(help="The classes that it was trained for.")] = "Car",
) -> None:
    """Turn a published checkpoint into a model file, with a table of every key."""
    trained = tuple(classes.split(","))
    if not set(trained) <= set(CLASSES) or len(set(trained)) < len(trained):
        raise DataError(f"--classes: expected some of {','.join(CLASSES)}, each once, found {classes!r}")
    imported = read_published(checkpoint, part)
    console = Console()
    console.print(key_table(imported, checkpoint))
    info = DetectorInfo(
        width=imported.width, modality="depth" if imported.network == "depth" else "image", classes=trained,
        anisotropic_decode=True, clamped_heights=True, depth_scaled_twice=True,  # as all published networks
    )  # fmt: skip
    detector = empty_detector(info)
    module = detector.backbone if imported.network == "backbone" else detector
    fill(module, imported.tensors, checkpoint)
    if imported.network == "backbone":
        save_backbone(module.state_dict(), out)
    else:
        save_detector(detector, out, info)
    numbers = sum(tensor.numel() for tensor in module.state_dict().values())
    line = f"{out}: {imported.network}, width {imported.width:g}, {numbers / 1e6:.2f} M numbers"
    console.print(Text(printable(line)), soft_wrap=True)


def key_table(imported: Imported, checkpoint: Path) -> Table:
    """Count the checkpoint's keys by module and by what became of them, with the three sums."""
    head = Column(f"keys under {imported.prefix}" if imported.prefix else "keys", no_wrap=True)
    counts = Column("tensors", justify="right"), Column("numbers", justify="right", no_wrap=True)
    table = Table(head, "", *counts, "note", title=Text(printable(checkpoint.name)), title_justify="left")
    for name, status, note, tensors, numbers in groups(imported.keys):
        table.add_row(Text(printable(name)), Text(status, COLOURS[status]), str(tensors), f"{numbers:,}", Text(note))
    table.add_section()
    for status, colour in COLOURS.items():
        chosen = [key for key in imported.keys if key.status == status]
        table.add_row("all", f"[{colour}]{status}[/]", str(len(chosen)), f"{sum(k.numbers for k in chosen):,}", "")
    return table


def read_published(path: str | Path, part: str | None = None) -> Imported:
    """Read a checkpoint in any published layout, without running code from it (DataError).

    `part` (`student` or `teacher`; None: the student) chooses a network of a distillation checkpoint, and says what a
    detector alone is.
    """
    if part not in (None, *PREFIXES):
        raise DataError(f"part: expected student or teacher, found {part!r}")
    file = read_torch_file(path)
    prefix, network = _layout(file.tensors, part, path)
    found = {name.removeprefix(prefix): t for name, t in file.tensors.items() if name.startswith(prefix)}
    name = "level5.root.conv.weight" if network == "backbone" else "backbone.level5.root.conv.weight"
    if name not in found:
        raise DataError(f"tensor {name} is missing", path)
    shape, most = tuple(found[name].shape), 4 * FULL_WIDTH_CHANNELS
    if len(shape) != 4 or not 8 <= shape[0] <= most:
        raise DataError(f"tensor {name}: expected 8 to {most} channels, found shape {shape}", path)
    width = shape[0] / FULL_WIDTH_CHANNELS
    detector = empty_detector(DetectorInfo(width=width))
    expected = (detector.backbone if network == "backbone" else detector).state_dict()
    # Copies, because entries of a checkpoint may share memory, which safetensors does not write.
    tensors = {
        name: t.detach().to(torch.float32 if t.is_floating_point() else t.dtype, copy=True).contiguous()
        for name, t in ((name, found[name]) for name in expected if name in found)
    }
    return Imported(tensors, network, width, prefix, tuple(_keys(file, prefix, expected)))


def _layout(names: Mapping[str, Tensor], part: str | None, path: str | Path) -> tuple[str, Network]:
    """Give the prefix of the wanted network's keys, and what it is."""
    held = [name for name, prefix in PREFIXES.items() if any(key.startswith(prefix) for key in names)]
    wanted = part or "student"
    if held:
        if wanted not in held:
            raise DataError(f"expected a {wanted} ('{PREFIXES[wanted]}…'), found only a {held[0]}", path)
        return PREFIXES[wanted], NETWORKS[wanted]
    if any(key.startswith("backbone.") for key in names):
        return "", NETWORKS[wanted]
    if "base_layer.0.weight" in names:
        if part is not None:
            raise DataError(f"expected a detector to take the {part} from, found a backbone alone", path)
        return "", "backbone"
    first = next(iter(names))
    raise DataError(f"expected keys of a detector or of a DLA-34 backbone, found {first[:60]!r}", path)


def _keys(file: TorchFile, prefix: str, expected: Mapping[str, Tensor]) -> Iterator[Key]:
    for name, tensor in file.tensors.items():
        own = name.startswith(prefix)
        other = [part for part, start in PREFIXES.items() if name.startswith(start) and start != prefix]
        if own and name.removeprefix(prefix) in expected:
            yield Key(name, "used", "", tensor.numel())
        elif other:
            yield Key(name, "ignored", f"the {other[0]}: --part {other[0]}", tensor.numel())
        else:
            yield Key(name, "ignored", "not in the network" if own and prefix else "distillation only", tensor.numel())
    for name in file.others:
        yield Key(name, "ignored", "no weights", 0)
    for name, tensor in expected.items():
        if prefix + name not in file.tensors:
            note = "counts batches: set to 0" if name.endswith(COUNTER) else "needed"
            yield Key(name, "missing", note, tensor.numel())


def groups(keys: Sequence[Key]) -> list[tuple[str, Status, str, int, int]]:
    """Count keys of one module with one status: (module, status, note, tensors, numbers), in order of appearance."""
    table = pd.DataFrame(keys).assign(module=[_module(key) for key in keys])
    counts = table.groupby(["module", "status", "note"], sort=False)["numbers"].agg(["size", "sum"])
    return list(counts.reset_index().itertuples(index=False, name=None))


def _module(key: Key) -> str:
    """`backbone.level3` and the like of the wanted network, without its prefix; whole modules of all else."""
    first, *rest = key.name.split(".")
    if key.status == "missing" and key.name.endswith(COUNTER):
        return "*.num_batches_tracked"
    if key.status == "ignored":
        return first
    names = rest if f"{first}." in PREFIXES.values() else [first, *rest]
    return ".".join(names[: 2 if names[0] in ("backbone", "feat_up") else 1])
