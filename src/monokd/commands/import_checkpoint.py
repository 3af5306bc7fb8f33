"""The `monokd import` command: a published checkpoint becomes a file of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monokd.commands.published import Imported, Status, groups, read_published
from monokd.errors import printable
from monokd.models.checkpoint import empty_detector, fill, save_backbone, save_detector

COLOURS: dict[Status, str] = {"used": "green", "ignored": "yellow", "missing": "red"}


def import_command(checkpoint: Path, out: Path, *, part: str | None, classes: Sequence[str] = ("Car",)) -> None:
    """Write the network of a published checkpoint as safetensors and print what became of its keys.

    Args:
        checkpoint: a file that torch wrote, in any published layout.
        out: the file to write.
        part: `student` or `teacher` of a distillation checkpoint; None takes the student.
        classes: that the network was trained on.

    Raises:
        DataError: unreadable, code inside, no known layout, tensors missing or of another shape; nothing is written.
    """
    imported = read_published(checkpoint, part)
    console = Console()
    console.print(key_table(imported, checkpoint))
    info = imported.info(classes)
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
    """Every key of the checkpoint counted in one row, by module and by what became of it, and the three sums."""
    place = f"keys under {imported.prefix}" if imported.prefix else "keys"
    table = Table(title=Text(printable(checkpoint.name)), title_justify="left")
    table.add_column(Text(place), no_wrap=True)
    table.add_column("")
    table.add_column("tensors", justify="right")
    table.add_column("numbers", justify="right", no_wrap=True)
    table.add_column("note")
    for name, status, note, tensors, numbers in groups(imported.keys):
        shown = Text(printable(name)), Text(status, COLOURS[status]), str(tensors), f"{numbers:,}", Text(note)
        table.add_row(*shown)
    table.add_section()
    for status, colour in COLOURS.items():
        chosen = [key for key in imported.keys if key.status == status]
        table.add_row("all", f"[{colour}]{status}[/]", str(len(chosen)), f"{sum(k.numbers for k in chosen):,}", "")
    return table
