"""The `monokd predict` command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from monokd.errors import DataError, printable
from monokd.files import write_bytes
from monokd.inference.predict import detect_images, is_published, write_predictions
from monokd.kitti.calibration import read_calibration
from monokd.kitti.frames import read_image
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import load_detector

SUFFIXES = (".png", ".jpg", ".jpeg")


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

    def label(self, frame: str) -> Path:
        """Where a label would be; loose files have none."""
        return self.images[frame].with_suffix(".txt")


def predict_command(
    model: Path,
    images: Path,
    calib: Path,
    out: Path,
    *,
    draw: bool,
    score_threshold: float,
    behaviour: str,
    batch_size: int = 4,
) -> None:
    """Write OUT/NAME.txt for every image, and OUT/pictures/NAME.png where asked.

    Args:
        model: a safetensors file of a detector that sees images.
        images: an image, or a folder of them.
        calib: a calibration file for all, or a folder with NAME.txt for each.
        out: the folder of results.
        draw: also draw the boxes.
        score_threshold: lowest peak.
        behaviour: `published` or `corrected` decoding (quirks Q7 and Q13).
        batch_size: images at a time.

    Raises:
        DataError: a file is missing or broken, or the model sees depth.
    """
    published = is_published(behaviour)
    detector, info = load_detector(model, "image")
    files = find_files(images, calib)
    found = detect_images(
        detector, info, files, list(files.images),
        score_threshold=score_threshold, batch_size=batch_size,
    )  # fmt: skip
    drawn = _drawing(found, files, out / "pictures") if draw else found
    count = write_predictions(out, drawn, classes=info.classes, two_decimal_scores=published, keep_others=True)
    print(printable(f"{count} images: {out}"))


def find_files(images: Path, calib: Path) -> LooseFiles:
    """The images, ascending by name, each with its calibration file.

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
        picture = draw_frame(read_image(files.image(name)), read_calibration(files.calibration(name)), objects)
        # Not imwrite: it does not say when the disk is full.
        done, data = cv2.imencode(".png", picture[:, :, ::-1])
        if not done:
            raise ValueError(f"cannot encode the picture of {name}")
        write_bytes(folder / f"{name}.png", data.tobytes())
        yield name, objects
