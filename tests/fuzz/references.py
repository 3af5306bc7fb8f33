"""Readers that know as little as possible: what a file says, decided without the code under test."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SPACE = b" \t\r\x0b\x0c"


def words_of(content: bytes) -> list[list[bytes]]:
    """The words of every line that has any."""
    lines = [re.split(rb"[ \t\r\x0b\x0c]+", line.strip(SPACE)) for line in content.split(b"\n")]
    return [line for line in lines if line != [b""]]


def number(word: bytes) -> float:
    """What a plain decimal number says."""
    assert NUMBER.fullmatch(word), f"{word!r} was taken for a number"
    return float(word)


def label_rows(content: bytes, fields: int) -> tuple[list[str], NDArray[np.float64]]:
    """Names and N×(fields − 1) numbers of a label or result file."""
    lines = words_of(content)
    assert all(len(line) == fields for line in lines), "a line of another length was accepted"
    rows = [[number(word) for word in line[1:]] for line in lines]
    return [line[0].decode("ascii") for line in lines], np.array(rows).reshape(-1, fields - 1)


def matrices(content: bytes) -> dict[str, list[float]]:
    """The numbers after every `NAME:` of a calibration file."""
    found: dict[str, list[float]] = {}
    for line in content.split(b"\n"):
        name, colon, rest = line.partition(b":")
        key = name.strip().decode("latin-1")
        if colon and key in ("P2", "R0_rect", "Tr_velo_to_cam"):
            assert key not in found, f"{key} stands twice and was accepted"
            found[key] = [number(word) for word in rest.split()]
    return found


def frame_ids(content: bytes) -> list[str]:
    """The words of a split, one a line."""
    lines = words_of(content)
    assert all(len(line) == 1 for line in lines), "two words in a line were accepted"
    return [line[0].decode("ascii") for line in lines]


def points(content: bytes) -> list[tuple[float, ...]]:
    """Four little-endian floats at a time."""
    return list(struct.iter_unpack("<4f", content))


def png_pixels(content: bytes) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    """Pixels of a plain PNG, 8-bit RGB or 16-bit grey; None where another kind stands in the header.

    Every chunk must be whole and have its checksum.
    """
    assert content[:8] == b"\x89PNG\r\n\x1a\n", "no PNG was accepted"
    data, at, kind = b"", 8, b""
    header = b""
    while kind != b"IEND":
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body).to_bytes(4, "big") == content[at + 8 + length : at + 12 + length], "bad checksum"
        header = body if kind == b"IHDR" and not header else header
        data += body if kind == b"IDAT" else b""
        at += 12 + length
        if kind in (b"acTL", b"tRNS"):
            return None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    if (bits, colour) not in ((8, 2), (16, 0)) or interlaced:
        return None
    pixel = 3 if colour == 2 else 2
    raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[2:])  # libpng, too, goes on after a wrong Adler-32
    rows = _unfiltered(raw, width * pixel, height, pixel)
    return rows.reshape(height, width, 3) if colour == 2 else rows.view(">u2").astype(np.uint16)


def _unfiltered(raw: bytes, row_bytes: int, rows: int, pixel: int) -> NDArray[np.uint8]:
    assert len(raw) >= (row_bytes + 1) * rows, "pixels are missing and the image was accepted"
    out = np.zeros((rows, row_bytes), np.uint8)
    above = [0] * row_bytes
    for y in range(rows):
        kind, *line = raw[y * (row_bytes + 1) : (y + 1) * (row_bytes + 1)]
        assert kind <= 4, "an unknown filter was accepted"
        for x in range(row_bytes):
            a = line[x - pixel] if x >= pixel else 0
            c = above[x - pixel] if x >= pixel else 0
            line[x] = (line[x] + (0, a, above[x], (a + above[x]) // 2, _paeth(a, above[x], c))[kind]) & 255
        out[y] = above = line
    return out


def _paeth(a: int, b: int, c: int) -> int:
    distances = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return (a, b, c)[distances.index(min(distances))]


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Height and width by the first frame header after the quantisation tables."""
    found = re.search(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..\x08(..)(..)", content, re.DOTALL)
    assert found is not None, "a JPEG without a frame was accepted"
    return int.from_bytes(found[1], "big"), int.from_bytes(found[2], "big")
