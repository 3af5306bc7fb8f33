"""The `monokd predict` command."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from monokd.commands.options import Compute, Model, ReadWorkers, ScoreDecimals, ScoreThreshold
from monokd.errors import DataError, printable
from monokd.inference.predict import SCORE_DECIMALS, detect_images, processes, share_of_process, write_predictions
from monokd.kitti.frames import FrameSource
from monokd.kitti.images import read_image
from monokd.kitti.objects import Objects
from monokd.kitti.raw import RawDrives
from monokd.models.checkpoint import load_detector
from monokd.report.drawing import Layer, draw_boxes_3d, write_picture
from monokd.report.networks import STYLES

SUFFIXES = (".png", ".jpg", ".jpeg")


def predict(
    model: Model,
    images: Annotated[Path, typer.Argument(help="An image, a folder of images, or of raw drives.")],
    calib: Annotated[
        Path, typer.Argument(help="A calibration file, a folder with one an image, or the raw drives again.")
    ],
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
    """
    detector, info = load_detector(model, "image")
    files: FrameSource = RawDrives(images) if RawDrives(images).drives() else find_files(images, calib)
    names = share_of_process(files.frames())
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
class LooseFiles(FrameSource):
    """Images that do not stand in KITTI's layout, without labels and scans, as a source of frames."""

    images: dict[str, Path]  # by id, which is the name without suffix
    calib: Path  # the calibration file of all, or a folder with one an image

    def frames(self) -> list[str]:
        """List the ids."""
        return list(self.images)

    def image(self, frame: str) -> Path:
        """Name the image."""
        return self.images[frame]

    def calibration(self, frame: str) -> Path:
        """Name the calibration text."""
        return self.calib if self.calib.is_file() else self.calib / f"{frame}.txt"

    def velodyne(self, frame: str) -> Path:
        """Name a scan that does not exist."""
        return self.images[frame].with_suffix(".bin")


def find_files(images: Path, calib: Path) -> LooseFiles:
    """Find the images, ascending by name, each of another name and with its calibration file (DataError)."""
    if not images.exists():
        raise DataError("expected an image or a folder of images, found nothing there", images)
    paths = [images]
    if not images.is_file():  # some systems put a hidden file beside each image
        visible = (path for path in images.iterdir() if not path.name.startswith("."))
        paths = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"expected images ({', '.join(SUFFIXES)}), found none", images)
    files = LooseFiles({}, calib)
    for path in paths:
        if path.stem in files.images:
            raise DataError(f"expected one image a name, found {files.images[path.stem].name} too", path)
        files.images[path.stem] = path
        if not files.calibration(path.stem).is_file():
            raise DataError("expected a calibration file, found none", files.calibration(path.stem))
    return files


def _drawing(found: Iterator[tuple[str, Objects]], files: FrameSource, folder: Path) -> Iterator[tuple[str, Objects]]:
    """Pass `found` on and draw each frame on the way."""
    for name, objects in found:
        layer = Layer(objects, STYLES["student"], filled=True)
        picture = draw_boxes_3d(read_image(files.image(name)), [layer], files.read_calibration(name), labels=True)
        write_picture(folder / f"{name}.png", picture)
        yield name, objects
