"""The `monokd check` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monokd.commands.check import check_command


def check(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout.")],
    depth: Annotated[Path | None, typer.Option(help="A folder of depth PNGs, to check them too.")] = None,
) -> None:
    """Report what is missing or broken in a KITTI folder, one line each; exit status 1 if anything is."""
    check_command(root, depth)
