"""The `monokd unpack` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monokd.commands.unpack import unpack_command


def unpack(
    zips: Annotated[list[Path], typer.Argument(help="KITTI's object zips, as they were downloaded.")],
    root: Annotated[Path, typer.Argument(help="The folder that training and testing go into.")],
) -> None:
    """Unpack KITTI's official zip files, safely; a run that was stopped can be taken up again."""
    unpack_command(zips, root)
