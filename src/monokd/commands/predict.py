"""The `monokd predict` command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import typer

from monokd.commands.options import Compute, Model, ReadWorkers, ScoreDecimals, ScoreThreshold
from monokd.errors import DataError, printable
from monokd.files import write_bytes
from monokd.inference.predict import (
    SCORE_DECIMALS,
    detect_images,
    processes,
    share_of_process,
    write_predictions,
)
from monokd.kitti.calibration import Calibration, read_calibration
from monokd.kitti.frames import read_image
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import load_detector

SUFFIXES = (".png", ".jpg", ".jpeg")


def predict(
    model: Model,
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.")],
    calib: Annotated[Path, typer.Argument(help="A calibration file, or a folder with one an image.")],
    out: Annotated[Path, typer.Argument(help="Where the result files go.")],
    draw: Annotated[bool, typer.Option("--draw", help="Also write pictures with the boxes.")] = False,
    score_threshold: ScoreThreshold = 0.2,
    score_decimals: ScoreDecimals = SCORE_DECIMALS,
    workers: ReadWorkers = 0,
    accelerator: Compute = "auto",
) -> None:
    """Detect objects in images; KITTI text out.

    Writes OUT/NAME.txt for every image, and OUT/pictures/NAME.png with --draw. Several processes share the images
    when torchrun starts them.

    Raises:
        DataError: a file is missing or broken, the model sees depth, or there is no such device.
    """
    detector, info = load_detector(model, "image")
    files = find_files(images, calib)
    names = share_of_process(list(files.images))
    found: Iterator[tuple[str, Objects]] = iter(())
    if names:
        found = detect_images(
            detector, info, files, names, score_threshold=score_threshold, workers=workers, accelerator=accelerator
        )
    if draw:
        found = _drawing(found, files, out / "pictures")
    count = write_predictions(out, found, classes=info.classes, score_decimals=score_decimals)
    number, several = processes()
    share = f" (process {number + 1} of {several})" if several > 1 else ""
    print(printable(f"{count} images{share}: {out}"))


@dataclass(frozen=True, slots=True)
class LooseFiles:
    """Images and calibration files that do not stand in KITTI's layout; ids are the images' names.

    Attributes:
        images: id → image.
        calibrations: id → calibration file.
        folder: what the user named, for messages.
    """

    images: dict[str, Path]
    calibrations: dict[str, Path]
    folder: Path

    def image(self, frame: str) -> Path:
        """The image."""
        return self.images[frame]

    def calibration(self, frame: str) -> Path:
        """The calibration text."""
        return self.calibrations[frame]

    def read_calibration(self, frame: str) -> Calibration:
        """Read the camera."""
        return read_calibration(self.calibrations[frame])

    def label(self, frame: str) -> None:  # noqa: ARG002
        """Loose files have no labels."""
        return

    def frames(self) -> list[str]:
        """List the ids."""
        return list(self.images)

    def velodyne(self, frame: str) -> Path:
        """Where a scan would be; loose files have none."""
        return self.images[frame].with_suffix(".bin")


def find_files(images: Path, calib: Path) -> LooseFiles:
    """Find the images, ascending by name, each with its calibration file.

    Raises:
        DataError: no images, two of one name, or a calibration file missing.
    """
    if not images.exists():
        raise DataError("expected an image or a folder of images, found nothing there", images)
    paths = [images] if images.is_file() else sorted(p for p in images.iterdir() if _is_image(p))
    if not paths:
        raise DataError(f"expected images ({', '.join(SUFFIXES)}), found none", images)
    named: dict[str, Path] = {}
    for path in paths:
        if path.stem in named:
            raise DataError(f"expected one image a name, found {named[path.stem].name} too", path)
        named[path.stem] = path
    calibrations = {name: calib if calib.is_file() else calib / f"{name}.txt" for name in named}
    for path in calibrations.values():
        if not path.is_file():
            raise DataError("expected a calibration file, found none", path)
    return LooseFiles(named, calibrations, images)


def _is_image(path: Path) -> bool:
    """Hidden files are none: some systems put one beside each image."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _drawing(found: Iterator[tuple[str, Objects]], files: LooseFiles, folder: Path) -> Iterator[tuple[str, Objects]]:
    """Pass `found` on and draw each frame on the way."""
    from monokd.report.drawing import draw_frame  # noqa: PLC0415  (only where asked)

    for name, objects in found:
        picture = draw_frame(read_image(files.image(name)), files.read_calibration(name), objects)
        write_bytes(folder / f"{name}.png", cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
        yield name, objects
