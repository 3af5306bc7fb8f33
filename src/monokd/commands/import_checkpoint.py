"""The `monokd import` command: a published checkpoint becomes a file of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monokd.commands.published import Imported, Status, groups, read_published
from monokd.errors import DataError, printable
from monokd.models.checkpoint import empty_detector, fill, save_backbone, save_detector
from monokd.samples.constants import CLASSES

COLOURS: dict[Status, str] = {"used": "green", "ignored": "yellow", "missing": "red"}


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A published checkpoint (.pth).")],
    out: Annotated[Path, typer.Argument(help="The model file to write.")],
    part: Annotated[str | None, typer.Option(help="student or teacher, of a distillation checkpoint.")] = None,
    classes: Annotated[str, typer.Option(help="The classes that it was trained for.")] = "Car",
) -> None:
    """Turn a published checkpoint into a model file, with a table of every key."""
    trained = tuple(classes.split(","))
    if not set(trained) <= set(CLASSES):
        raise DataError(f"--classes: expected some of {','.join(CLASSES)}, found {classes!r}")
    imported = read_published(checkpoint, part)
    console = Console()
    console.print(key_table(imported, checkpoint))
    info = imported.info(trained)
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
    table = Table(title=Text(printable(checkpoint.name)), title_justify="left")
    table.add_column(Text(f"keys under {imported.prefix}" if imported.prefix else "keys"), no_wrap=True)
    table.add_column("")
    table.add_column("tensors", justify="right")
    table.add_column("numbers", justify="right", no_wrap=True)
    table.add_column("note")
    for name, status, note, tensors, numbers in groups(imported.keys):
        table.add_row(Text(printable(name)), Text(status, COLOURS[status]), str(tensors), f"{numbers:,}", Text(note))
    table.add_section()
    for status, colour in COLOURS.items():
        chosen = [key for key in imported.keys if key.status == status]
        table.add_row("all", f"[{colour}]{status}[/]", str(len(chosen)), f"{sum(k.numbers for k in chosen):,}", "")
    return table
