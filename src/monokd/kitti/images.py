"""PNG and JPEG files: what they claim and whether they are whole, before anything is decoded."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.reading import BINARY_LIMIT_BYTES, open_file, read_whole

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
GREY, RGB = 0, 2  # PNG's colour types
HEADER_BYTES, END_BYTES = 33, 12  # of a PNG: signature and first chunk, last chunk
MAX_PIXELS = 1 << 26  # 8192×8192; a file of a few bytes can claim any number, and the memory would be taken for it
MAX_SCANS = 100  # of a JPEG; each pass over all pixels takes as little as a few bytes
# Markers of JPEG frames (SOF0 to SOF15 without DHT, JPG and DAC) and those without a length.
SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BARE = frozenset({0x01, *range(0xD0, 0xD9)})
SOS, SOS_BYTES = 0xDA, b"\xff\xda"


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What a PNG says about itself.

    Attributes:
        width_px: columns.
        height_px: rows.
        bits: a channel.
        colour: PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 and 6 with transparency.
    """

    width_px: int
    height_px: int
    bits: int
    colour: int


def read_png_header(path: Path) -> PngHeader:
    """The header of a PNG, from its first and last bytes only, so that half a file is found too.

    Raises:
        DataError: unreadable, no PNG, cut short, or of a size that no image has.
    """
    try:
        handle = open_file(path, BINARY_LIMIT_BYTES)
        try:
            size = os.fstat(handle).st_size
            head, tail = os.pread(handle, HEADER_BYTES, 0), os.pread(handle, END_BYTES, max(0, size - END_BYTES))
        finally:
            os.close(handle)
    except OSError as error:
        raise DataError(f"cannot read the image: {error.strerror}", path) from error
    header = _png_header(head, path)
    if tail[4:8] != b"IEND":
        raise DataError("expected a whole PNG image, found one that is cut short", path)
    return header


def read_rgb(path: str | Path) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG as H×W×3 RGB.

    Raises:
        DataError: unreadable, neither of the two, damaged, or of a size that no image has.
    """
    content = _content(path, "image")
    if content.startswith(PNG):
        _check_png(content, path)
    elif content.startswith(JPEG):
        check_size(*_jpeg_size(content, path), path)
    else:
        raise DataError(f"expected a PNG or JPEG image, found {_start(content)}", path)
    return np.asarray(_decode(content, cv2.IMREAD_COLOR_RGB, path), dtype=np.uint8)


def read_png16(path: str | Path) -> NDArray[np.uint16]:
    """Decode a PNG of one 16-bit channel as H×W.

    Raises:
        DataError: unreadable, another kind of file or of PNG, damaged, or of a size that no image has.
    """
    content = _content(path, "depth map")
    header = _check_png(content, path)
    if (header.bits, header.colour) != (16, GREY):
        found = f"{header.bits} bits of PNG colour type {header.colour}"
        raise DataError(f"expected one 16-bit channel, found {found}", path)
    stored = _decode(content, cv2.IMREAD_UNCHANGED, path)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise DataError(f"expected one 16-bit channel, found {stored.dtype} of shape {stored.shape}", path)
    return np.asarray(stored, dtype=np.uint16)


def check_size(width_px: int, height_px: int, path: str | Path) -> None:
    """Refuse a size that no image has (DataError)."""
    if min(width_px, height_px) < 1 or width_px * height_px > MAX_PIXELS:
        raise DataError(f"expected 1 to {MAX_PIXELS:,} pixels, found {width_px}×{height_px}", path)


def _content(path: str | Path, what: str) -> bytes:
    try:
        return read_whole(path, BINARY_LIMIT_BYTES)
    except FileNotFoundError as error:
        raise DataError(f"no such {what}", path) from error
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path) from error


def _decode(content: bytes, flags: int, path: str | Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    try:
        image: Any = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"expected an image, found a file that does not decode: {error.err}", path) from error
    if image is None:
        raise DataError("expected an image, found a file that does not decode", path)
    return cast(NDArray[np.uint8] | NDArray[np.uint16], image)


def _png_header(content: bytes, path: str | Path) -> PngHeader:
    if len(content) < HEADER_BYTES or not content.startswith(PNG) or content[12:16] != b"IHDR":
        raise DataError(f"expected a PNG image, found {_start(content)}", path)
    width_px, height_px = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    check_size(width_px, height_px, path)
    return PngHeader(width_px, height_px, content[24], content[25])


def _check_png(content: bytes, path: str | Path) -> PngHeader:
    """Every chunk is there and has its checksum; libpng would print lines of its own."""
    header = _png_header(content, path)
    kind = b""
    for at, kind, whole in _png_chunks(content):
        if not whole:
            name = kind.decode("ascii", "replace")
            raise DataError(f"expected a whole PNG image, found chunk {name!r} damaged or cut short at byte {at}", path)
    if kind != b"IEND":
        raise DataError("expected a whole PNG image, found one that is cut short", path)
    return header


def _png_chunks(content: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Position, kind and wholeness of every chunk up to the last."""
    at, view = len(PNG), memoryview(content)
    while at < len(content):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        stored = bytes(view[end : end + 4])
        yield at, kind, zlib.crc32(view[at + 4 : end]).to_bytes(4, "big") == stored
        if kind == b"IEND":
            return
        at = end + 4


def _jpeg_size(content: bytes, path: str | Path) -> tuple[int, int]:
    """Width and height of a JPEG's frame."""
    if content.count(SOS_BYTES) > MAX_SCANS:
        raise DataError(f"expected a JPEG of at most {MAX_SCANS} scans, found more", path)
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF and content[at + 1] != SOS:
        marker = content[at + 1]
        if marker in SOF:
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 if marker in BARE else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise DataError("expected a JPEG image, found one without a size", path)


def _start(content: bytes) -> str:
    return f"a file that begins with {content[:8]!r}" if content else "an empty file"
