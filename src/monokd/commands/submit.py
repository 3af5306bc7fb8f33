"""The `monokd submit` command: results of the test frames as KITTI's object server takes them."""

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from monokd.commands.options import Compute, Model, ReadWorkers, ScoreDecimals, ScoreThreshold
from monokd.errors import DataError, printable, say
from monokd.files import replacing
from monokd.inference.predict import SCORE_DECIMALS, detect_images, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_png_header
from monokd.kitti.labels import read_results
from monokd.kitti.objects import Objects
from monokd.kitti.splits import TEST_FRAMES
from monokd.models.checkpoint import load_detector

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def submit(
    model: Model,
    root: Annotated[Path, typer.Argument(help="A folder in KITTI's layout, with testing/.")],
    out: Annotated[Path, typer.Argument(help="The zip file to write.")],
    score_threshold: ScoreThreshold = 0.2,
    score_decimals: ScoreDecimals = SCORE_DECIMALS,
    workers: ReadWorkers = 0,
    accelerator: Compute = "auto",
) -> None:
    """Detect objects in the test frames; a checked zip for KITTI's server.

    Objects whose 2D box lies outside the image are left out, as the benchmark asks, and so are those with a side of no
    length; one line says how many.
    """
    if out.suffix != ".zip":
        raise DataError("expected a name that ends in .zip", out)
    detector, info = load_detector(model, "image")
    files = KittiFolder(root, "testing")
    names = numbered_frames(files)
    found = detect_images(
        detector, info, files, names, score_threshold=score_threshold, workers=workers, accelerator=accelerator
    )
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder)
        kept = _submittable(found, files, left_out)
        write_predictions(texts, kept, classes=info.classes, score_decimals=score_decimals)
        count = sum(len(read_results(texts / f"{name}.txt")) for name in names)
        # In the root folder of the zip; equal results give equal bytes.
        with replacing(out, durable=True) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name in names:
                entry = zipfile.ZipInfo(f"{name}.txt", DATE)
                entry.create_system, entry.external_attr = 3, 0o644 << 16  # readable, on any system
                archive.writestr(entry, (texts / f"{name}.txt").read_bytes(), zipfile.ZIP_DEFLATED, 6)
    print(printable(f"{out}: {len(names)} frames, {count} objects"))
    if left_out:
        say(f"note: {len(left_out)} objects left out, the first: {left_out[0]}")
    if len(names) != TEST_FRAMES:
        say(f"note: the server takes the whole test set, {TEST_FRAMES} frames; {root} holds {len(names)}")


def numbered_frames(files: KittiFolder) -> list[str]:
    """List the frames of a test half: numbered from 000000 without a gap, each with a calibration file (DataError)."""
    names = files.frames()
    for number, name in enumerate(names):
        if name != f"{number:06d}":
            raise DataError(f"expected frame {number:06d} next, found {name}", files.image(name))
        if not files.calibration(name).is_file():
            raise DataError("expected a calibration file, found none", files.calibration(name))
    return names


def _submittable(
    found: Iterator[tuple[str, Objects]], files: KittiFolder, left_out: list[str]
) -> Iterator[tuple[str, Objects]]:
    """Each frame's objects that the server takes; one line for each of the others is added to `left_out`.

    A part of the 2D box lies in the image, and no side has length 0, in the two decimals that are written.
    """
    for frame, objects in found:
        width_px, height_px, _ = read_png_header(files.image(frame))
        boxes_px, sizes_m = objects.boxes_px.round(2), objects.sizes_m.round(2)
        starts, ends = boxes_px[:, :2], boxes_px[:, 2:]
        seen = (starts < ends) & (ends > 0) & (starts < (width_px, height_px))
        taken = np.asarray(seen.all(axis=1) & (sizes_m > 0).all(axis=1))
        for i in np.flatnonzero(~taken):
            size = f"{width_px}×{height_px} image, size {sizes_m[i].tolist()} m"
            left_out.append(f"{frame}: box {boxes_px[i].tolist()} px of a {size}")
        yield frame, objects.select(taken)
