"""PNG and JPEG files: Pillow says what they claim and whether they are whole, OpenCV decodes PNGs fast."""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from monokd.errors import DataError
from monokd.files import BINARY_LIMIT_BYTES, read_bytes
from monokd.typing import Bytes, Floats32, Uint16s

MAX_PIXELS = 1 << 26  # 8192×8192; a file of a few bytes can claim any number, and the memory would be taken for it
END_BYTES = 12  # of a PNG: its last chunk
D = TypeVar("D", bound=np.generic)
_WARNINGS = threading.Lock()  # their filters belong to the whole process


class PngHeader(NamedTuple):
    """What a PNG says about itself: size in pixels, and Pillow's mode (`RGB`; `I;16` for one 16-bit channel)."""

    width_px: int
    height_px: int
    mode: str


def read_png_header(path: Path) -> PngHeader:
    """Read a PNG's header and last bytes only, so that half a file is found too (DataError)."""
    if path.exists() and not path.is_file():
        raise DataError("expected a file, found a folder, pipe or device", path)
    try:
        with path.open("rb") as stream:
            with _opened(stream, path, "PNG") as image:
                header = PngHeader(*image.size, image.mode)
            stream.seek(-END_BYTES, os.SEEK_END)
            tail = stream.read()
    except FileNotFoundError as error:
        raise DataError("no such image", path) from error
    except OSError as error:
        raise DataError(f"cannot read the image: {error.strerror}", path) from error
    if tail[4:8] != b"IEND":
        raise DataError("expected a whole PNG image, found one that is cut short", path)
    return header


def read_image(path: str | Path) -> Bytes:
    """Decode a PNG or JPEG as H×W×3 RGB; missing, damaged, or of a size that no image has is a DataError."""
    content = read_bytes(path, "image", BINARY_LIMIT_BYTES)
    with _opened(io.BytesIO(content), path, "PNG", "JPEG") as image:
        if image.format == "JPEG":
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
        image.verify()
    return np.asarray(_decode(content, cv2.IMREAD_COLOR_RGB, path), dtype=np.uint8)


def read_stored_depth(path: str | Path) -> Uint16s:
    """Read a KITTI depth PNG as H×W uint16: metres × 256, 0 = none; DataError as `read_image`."""
    content = read_bytes(path, "depth map", BINARY_LIMIT_BYTES)
    with _opened(io.BytesIO(content), path, "PNG") as image:
        if image.mode != "I;16":
            raise DataError(f"expected one 16-bit channel, found a PNG of mode {image.mode}", path)
        image.verify()
    return np.asarray(_decode(content, cv2.IMREAD_UNCHANGED, path), dtype=np.uint16)


def read_depth(path: str | Path) -> Floats32:
    """Read a KITTI depth PNG as H×W float32 metres, 0 = none; DataError as `read_image`."""
    return read_stored_depth(path).astype(np.float32) / np.float32(256)


def pad_depth(depth: NDArray[D], height: int, width: int, path: Path) -> NDArray[D]:
    """Grow a depth map to its image by its border, rows on top, columns half left; DataError where it is larger."""
    rows, columns = height - depth.shape[0], width - depth.shape[1]
    if rows < 0 or columns < 0:
        found = f"{depth.shape[1]}×{depth.shape[0]}"
        raise DataError(f"expected a depth map no larger than its image, {width}×{height}, found {found}", path)
    sides = (rows, 0), (columns // 2, columns - columns // 2)
    return np.pad(depth, sides, mode="edge") if rows or columns else depth


@contextmanager
def _opened(stream: BinaryIO, path: str | Path, *formats: str) -> Iterator[Image.Image]:
    """The image, its size checked; whatever Pillow says against it in the block becomes one error."""
    kinds = " or ".join(formats)
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns of some sizes and of damage
            image = Image.open(stream, formats=formats)
            width_px, height_px = image.size
            if width_px * height_px > MAX_PIXELS:
                raise DataError(f"expected at most {MAX_PIXELS:,} pixels, found {width_px}×{height_px}", path)
            yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"expected a {kinds} image, found none", path) from error
    except Exception as error:  # Pillow meets arbitrary bytes and raises nearly anything
        raise DataError(f"expected a whole {kinds} image, found a damaged one: {error}", path) from error


def _decode(content: bytes, flags: int, path: str | Path) -> Any:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"expected an image, found a file that does not decode: {error.err}", path) from error
    if image is None:
        raise DataError("expected an image, found a file that does not decode", path)
    return image
