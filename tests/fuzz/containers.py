"""Mutations that keep a container's lengths and checksums right, so that what lies inside is met."""

from __future__ import annotations

import io
import json
import random
import zipfile
import zlib
from typing import Any

import yaml

from tests.fuzz.mutations import BINARY, HUGE, TEXT

SIGNATURE = b"\x89PNG\r\n\x1a\n"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 63, 64, 96, 100, 10**6, 10**7, 2**63, 10**30, 0.5, -0.5, 1e-5, 1e300, -0.0),
    *(float("nan"), float("inf"), "", "x", "1", "1e-05", "nan", "le", "cuda", "published", "../..", "\0", "\x1b[2J"),
    *([], {}, [1], ["Car"], ["Car", "Car"], [[]], {"x": 1}, [None], "a" * 3000),
)
KINDS = (b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"eXIf", b"????")
HEADER_WORDS = {
    b'"F32"': (b'"F16"', b'"F64"', b'"I32"', b'"C64"'),
    b'"shape":[': (b'"shape":[99999999999,', b'"shape":[-1,', b'"shape":[0,'),
    b"data_offsets": (b"data", b"shape"),
    b"crc32": (b"crc", b"CRC32"),
    b"running_var": (b"running_mean",),
}
SIDES_PX = (0, 1, 2, 3, 16, 65535, 1 << 20, 30_000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and body of every chunk that is there."""
    found: list[tuple[bytes, bytes]] = []
    at = len(SIGNATURE)
    while at + 12 <= len(content) and len(found) < 1000:
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def change_png(stream: random.Random, content: bytes) -> bytes:
    """Other words in a chunk, or other chunks, with checksums that fit."""
    chunks = png_chunks(content)
    if not chunks:
        return content
    at = stream.randrange(len(chunks))
    kind, body = chunks[at]
    choice = stream.randrange(6)
    if choice == 0:
        chunks[at] = kind, stream.choice(BINARY)(stream, body)
    elif choice == 1 and chunks[0][0] == b"IHDR":
        chunks[0] = b"IHDR", _header(stream, chunks[0][1])
    elif choice == 2:
        del chunks[at]
    elif choice == 3:
        chunks.insert(stream.randrange(len(chunks) + 1), (kind, body))
    elif choice == 4:
        chunks[at] = (
            stream.choice((b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"eXIf", b"????")),
            body,
        )
    else:
        bomb = zlib.compress(b"\0" * 2_000_000, 9)
        chunks.insert(at, (stream.choice((b"IDAT", b"zTXt", b"iCCP")), stream.choice((b"a\0\0", b"")) + bomb))
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def _header(stream: random.Random, body: bytes) -> bytes:
    """A PNG header of another size or kind."""
    fields = bytearray(body.ljust(13, b"\0"))
    for _ in range(stream.choice((1, 2))):
        if stream.random() < 0.5:
            at = stream.choice((0, 4))
            fields[at : at + 4] = stream.choice(SIDES_PX).to_bytes(4, "big")
        else:
            fields[stream.randrange(8, 13)] = stream.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
    return bytes(fields)


def change_jpeg_size(stream: random.Random, content: bytes) -> bytes:
    """A JPEG whose frame claims another size."""
    at = content.find(b"\xff\xc0")
    side = stream.choice((0, 1, 7, 40, 9000, 65500, 65535)).to_bytes(2, "big")
    place = at + stream.choice((5, 7))
    return content[:place] + side + content[place + 2 :] if at >= 0 else content


def change_tree(stream: random.Random, content: bytes) -> bytes:
    """The same tree of YAML or JSON, as JSON, with one entry changed, renamed, deleted or added."""
    try:
        tree: Any = yaml.safe_load(content)
    except Exception:  # broken by an earlier mutation
        return content
    node = tree
    while isinstance(node, dict) and node:
        key = stream.choice(sorted(node, key=str))
        if not isinstance(node[key], dict) or stream.random() < 0.1:
            choice = stream.randrange(8)
            if choice == 0:
                del node[key]
            elif choice == 1:
                node[stream.choice(("x", "", "seed", 3, None, "profile", "strict"))] = node.pop(key)
            else:
                node[key] = stream.choice(VALUES)
            break
        node = node[key]
    return json.dumps(tree).encode()


def change_safetensors(stream: random.Random, content: bytes) -> bytes:
    """Another header of the right length, or a header that claims gigabytes."""
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    if stream.random() < 0.2:
        return stream.choice((*HUGE, len(content), max(len(content) - 8, 0))).to_bytes(8, "little") + content[8:]
    if stream.random() < 0.3:
        old = stream.choice(tuple(HEADER_WORDS))
        new = stream.choice(HEADER_WORDS[old])
        header = header.replace(old, new, stream.choice((1, -1)))
    else:
        header = stream.choice((*TEXT, *BINARY))(stream, header)
    return len(header).to_bytes(8, "little") + header + rest


def change_zip(stream: random.Random, content: bytes) -> bytes:
    """Other members, or other words in one, in an archive whose checksums fit."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # broken by an earlier mutation
        return content
    at = stream.randrange(len(members))
    name, body = members[at]
    choice = stream.randrange(10)
    if choice == 0:
        del members[at]
    elif choice == 1:
        members[at] = stream.choice(("../../escaped", "/escaped", "x", name.upper(), "archive/data/99")), body
    elif choice == 2:
        members[at] = name, b"\0" * 4_000_000
    else:
        # Mostly the pickle, which says what everything else is.
        at = next((i for i, (n, _) in enumerate(members) if n.endswith(".pkl")), at) if choice < 8 else at
        members[at] = members[at][0], stream.choice(BINARY)(stream, members[at][1])
    packed = io.BytesIO()
    kind = stream.choice((zipfile.ZIP_STORED,) * 5 + (zipfile.ZIP_DEFLATED,))
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body, kind)
    return packed.getvalue()
