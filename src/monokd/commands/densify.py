"""The `monokd densify` command."""

from pathlib import Path
from typing import Annotated

import typer

from monokd.depth.folder import densify_folder
from monokd.errors import printable
from monokd.kitti.frames import read_split
from monokd.kitti.raw import frame_source
from monokd.progress import worker_count


def densify(
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout, or of raw drives.")],
    out: Annotated[Path, typer.Argument(help="Where the depth PNGs go.")],
    split: Annotated[Path | None, typer.Option(help="A file of frame ids; default: every frame.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 means one a core.")] = 0,
) -> None:
    """Make dense depth maps (uint16 PNG, metres × 256) from the LiDAR scans of ROOT/training, or of raw drives."""
    folder = frame_source(root)
    frames = folder.frames() if split is None else read_split(split)
    result = densify_folder(folder, out, frames, workers=worker_count(workers))
    for error in result.errors:
        typer.echo(str(error), err=True)
    typer.echo(printable(f"{result.made} made, {result.kept} kept, {len(result.errors)} broken: {out}"), err=True)
    if result.errors:  # after all other frames
        raise typer.Exit(2)
