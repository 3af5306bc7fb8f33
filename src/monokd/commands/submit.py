"""The `monokd submit` command: results of the test frames as KITTI's object server takes them."""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from monokd.errors import DataError, printable, say
from monokd.files import replacing
from monokd.inference.predict import detect_images, is_published, write_predictions
from monokd.kitti.frames import KittiFolder
from monokd.kitti.images import read_png_header
from monokd.kitti.labels import read_results
from monokd.kitti.objects import Objects
from monokd.models.checkpoint import load_detector

TEST_FRAMES = 7518
NAMES = ("Car", "Pedestrian", "Cyclist")
LONGEST_M = 30.0
FARTHEST_M = 1000.0
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: equal results give equal bytes
READABLE = 0o644 << 16


def submit_command(
    model: Path, root: Path, out: Path, *, score_threshold: float, behaviour: str, batch_size: int = 4
) -> None:
    """Write OUT.zip with one NNNNNN.txt a frame of ROOT/testing in its root folder, checked.

    Objects whose 2D box lies outside the image are left out, as the benchmark asks, and so are those whose numbers no
    object has; the command says how many.

    Args:
        model: a safetensors file of a detector that sees images.
        root: a folder in KITTI's layout with testing/image_2 and testing/calib.
        out: the file to write, named *.zip.
        score_threshold: lowest peak.
        behaviour: `published` or `corrected` decoding (quirks Q7 and Q13).
        batch_size: images at a time.

    Raises:
        DataError: a file is missing or broken, or the model sees depth; nothing is written.
    """
    if out.suffix != ".zip":
        raise DataError("expected a name that ends in .zip", out)
    published = is_published(behaviour)
    detector, info = load_detector(model, "image")
    files = KittiFolder(root, "testing")
    names = numbered_frames(files)
    found = detect_images(
        detector, info, files, names, score_threshold=score_threshold, batch_size=batch_size
    )
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        fit = _fit(found, files, left_out)
        write_predictions(Path(folder), fit, classes=info.classes, two_decimal_scores=published, keep_others=True)
        count = check_results(Path(folder), names)
        with replacing(out, durable=True) as temporary:
            write_zip(temporary, Path(folder), names)
            check_zip(temporary, names)
    print(printable(f"{out}: {len(names)} frames, {count} objects"))
    if left_out:
        say(f"note: {len(left_out)} objects left out, the first: {left_out[0]}")
    if len(names) != TEST_FRAMES:
        say(f"note: the server takes the whole test set, {TEST_FRAMES} frames; {root} holds {len(names)}")


def numbered_frames(files: KittiFolder) -> list[str]:
    """The frames of a test half: numbered from 000000 without a gap, each with a calibration file.

    Raises:
        DataError: another name, a gap, or a missing calibration file.
    """
    names = files.frames()
    for number, name in enumerate(names):
        if name != f"{number:06d}":
            raise DataError(f"expected frame {number:06d} next, found {name}", files.image(name))
        if not files.calibration(name).is_file():
            raise DataError("expected a calibration file, found none", files.calibration(name))
    return names


def check_results(folder: Path, frames: list[str]) -> int:
    """How many objects the result files of `frames` hold.

    Raises:
        DataError: a missing file, a line that is no result, or numbers that no object has.
    """
    count = 0
    for frame in frames:
        path = folder / f"{frame}.txt"
        objects = read_results(path)
        for i in range(len(objects)):
            reason = _unlikely(objects, i)
            if reason:
                raise DataError(reason, path.name, i + 1)
        count += len(objects)
    return count


def write_zip(out: Path, folder: Path, frames: list[str]) -> None:
    """Put FOLDER/FRAME.txt of every frame in the root folder of a zip; equal files give equal bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for frame in frames:
            entry = zipfile.ZipInfo(f"{frame}.txt", DATE)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, READABLE
            archive.writestr(entry, (folder / f"{frame}.txt").read_bytes())


def check_zip(path: Path, frames: list[str]) -> None:
    """Read a zip back: one whole file a frame, nothing else.

    Raises:
        DataError: damaged, or other names.
    """
    with zipfile.ZipFile(path) as archive:
        if archive.namelist() != [f"{frame}.txt" for frame in frames] or archive.testzip() is not None:
            raise DataError(f"expected {len(frames)} whole files in the zip, found otherwise", path)


def _fit(
    found: Iterator[tuple[str, Objects]], files: KittiFolder, left_out: list[str]
) -> Iterator[tuple[str, Objects]]:
    """Each frame's objects that can be submitted; one line for each of the others is added to `left_out`."""
    for frame, objects in found:
        header = read_png_header(files.image(frame))
        written = replace(objects, boxes_px=objects.boxes_px.round(2), sizes_m=objects.sizes_m.round(2))
        reasons = [
            _unlikely(written, i) or _unseen(written, i, header.width_px, header.height_px) for i in range(len(objects))
        ]
        left_out += [f"{frame}: {reason}" for reason in reasons if reason]
        yield frame, objects.select(np.array([not reason for reason in reasons], dtype=bool))


def _unseen(objects: Objects, i: int, width_px: int, height_px: int) -> str:
    left, top, right, bottom = objects.boxes_px[i]
    if right > 0 and bottom > 0 and left < width_px and top < height_px:
        return ""
    return f"box: expected a part in the image, {width_px}×{height_px}, found {objects.boxes_px[i].tolist()}"


def _unlikely(objects: Objects, i: int) -> str:
    """Why the server, or its reader, would stumble over an object; "" where it would not."""
    left, top, right, bottom = objects.boxes_px[i]
    if objects.names[i] not in NAMES:
        return f"class: expected {', '.join(NAMES)}, found {objects.names[i]}"
    if not (left < right and top < bottom):
        return f"box: expected left < right and top < bottom, found {objects.boxes_px[i].tolist()}"
    if not (objects.sizes_m[i] > 0).all() or (objects.sizes_m[i] > LONGEST_M).any():
        return f"size: expected up to {LONGEST_M:g} m and above 0, found {objects.sizes_m[i].tolist()}"
    if np.abs(objects.locations_m[i]).max() > FARTHEST_M:
        return f"location: expected within {FARTHEST_M:g} m, found {objects.locations_m[i].tolist()}"
    if max(abs(objects.alpha_rad[i]), abs(objects.rotation_y_rad[i])) > math.pi + 0.01:
        return "angle: expected within ±π"
    return ""
