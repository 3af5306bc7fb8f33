"""The `monokd densify` command."""

from __future__ import annotations

from pathlib import Path

import typer

from monokd.depth.folder import densify_folder
from monokd.errors import printable
from monokd.kitti.frames import KittiFolder, read_split


def densify_command(root: Path, out: Path, *, split: Path | None, workers: int) -> None:
    """Write OUT/FRAME.png for the frames of ROOT/training, all of them or those of `split`.

    Raises:
        DataError: the folder, the split or `out` is unusable.
        typer.Exit: status 2 after all other frames are done, where frames are broken; each has its line on stderr.
    """
    folder = KittiFolder(root)
    frames = folder.frames() if split is None else read_split(split)
    result = densify_folder(folder, out, frames, workers=workers)
    for error in result.errors:
        typer.echo(str(error), err=True)
    line = f"{result.made} made, {result.kept} kept, {len(result.errors)} broken: {out}"
    typer.echo(printable(line), err=True)
    if result.errors:
        raise typer.Exit(2)
