"""Ways to break a file: bytes, words, lines, encodings; each a function of a random stream alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    *("nan", "NaN", "-nan", "inf", "-inf", "Infinity", "1e999", "-1e999", "1e308", "-1e308", "1e-400", "5e-324"),
    *("0", "-0", "-0.0", "-1", "1", "2", "1e6", "1e7", "-1e7", "99999999999999999999", "9" * 400, "0." + "3" * 60),
    *("1_000", "0x10", "1,5", "1.2.3", "--1", "+1", "+", "-", ".", "e5", "1e", "1e+", "1d3", "1f", "٣", "½", "１２"),
)
WORDS = (
    *("", "x", "Car", "P2:", "DontCare", "null", "true", "~", "[]", "{}", "'", '"', ":", "-", "#", "%", "&a", "*a"),
    *("<<", "\x00", "\x1b[31m", "\x07", "\x1c", "\x85", "\u2028", "\u00a0", "\ufeff", "\u202e", "../../etc", "é"),
    *("a" * 5000, "[" * 3000, "{a: " * 300, "!!python/object:os.system", "${HOME}", "2001-13-45", "!!binary x"),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")
HUGE = tuple(1 << bits for bits in (7, 15, 16, 24, 31, 32, 40, 62, 63))


def cut(stream: random.Random, content: bytes) -> bytes:
    """Keep a beginning."""
    return content[: stream.randrange(len(content) + 1)]


def behead(stream: random.Random, content: bytes) -> bytes:
    """Keep an end."""
    return content[stream.randrange(len(content) + 1) :]


def flip_bits(stream: random.Random, content: bytes) -> bytes:
    """Flip one to eight bits."""
    broken = bytearray(content)
    for _ in range(stream.choice((1, 1, 1, 2, 4, 8))):
        if broken:
            broken[stream.randrange(len(broken))] ^= 1 << stream.randrange(8)
    return bytes(broken)


def set_bytes(stream: random.Random, content: bytes) -> bytes:
    """Overwrite a run with zeros, ones or noise."""
    at, length = _run(stream, content)
    fill = stream.choice((b"\0" * length, b"\xff" * length, stream.randbytes(length)))
    return content[:at] + fill + content[at + length :]


def delete_run(stream: random.Random, content: bytes) -> bytes:
    """Leave out a run."""
    at, length = _run(stream, content)
    return content[:at] + content[at + length :]


def repeat_run(stream: random.Random, content: bytes) -> bytes:
    """Write a run twice or more."""
    at, length = _run(stream, content)
    return content[:at] + content[at : at + length] * stream.choice((2, 3, 50)) + content[at + length :]


def insert_noise(stream: random.Random, content: bytes) -> bytes:
    """Insert noise somewhere, or append it."""
    at = stream.choice((stream.randrange(len(content) + 1), len(content)))
    return content[:at] + stream.randbytes(stream.choice((1, 2, 3, 4, 16, 100))) + content[at:]


def set_integer(stream: random.Random, content: bytes) -> bytes:
    """Overwrite two, four or eight bytes with a number of an unusual size, such as a length of gigabytes."""
    width, order = stream.choice((2, 4, 8)), stream.choice(("little", "big"))
    at = stream.choice((0, stream.randrange(len(content) + 1)))
    value = (stream.choice(HUGE) + stream.choice((-1, 0, 1))) % (1 << 8 * width)
    return content[:at] + value.to_bytes(width, "big" if order == "big" else "little") + content[at + width :]


def other_content(stream: random.Random, content: bytes) -> bytes:
    """Something else altogether."""
    return stream.choice(
        (
            b"",
            b"\0",
            b"\n",
            b"\0" * 64,
            stream.randbytes(stream.choice((1, 16, 300))),
            b"\x89PNG\r\n\x1a\n",
            b"PK\x03\x04",
            b"\x80\x02}q\x00.",
            b'{"a": 1}',
            b"<html></html>",
            content[::-1],
            content + content,
        )
    )


def change_word(stream: random.Random, content: bytes) -> bytes:
    """Replace, delete, repeat or insert a word."""
    lines = _text(content).split("\n")
    at = stream.randrange(len(lines))
    words = lines[at].split(" ")
    place = stream.randrange(len(words))
    new = stream.choice(stream.choice((NUMBERS, WORDS)))
    words[place : place + stream.choice((0, 1, 1, 1))] = stream.choice(([new], [new], [new], [], [words[place]] * 2))
    lines[at] = " ".join(words)
    return _bytes("\n".join(lines))


def change_number(stream: random.Random, content: bytes) -> bytes:
    """Change one character of a word, mostly for one that numbers have."""
    text = _text(content)
    at = stream.randrange(len(text) + 1)
    new = stream.choice("0123456789.-+eE \t\n,:_xnaif\0\x1c\r") * stream.choice((1, 1, 1, 5))
    return _bytes(text[:at] + new + text[at + stream.choice((0, 1)) :])


def change_line(stream: random.Random, content: bytes) -> bytes:
    """Delete, repeat, swap, blank or join lines."""
    lines = _text(content).split("\n")
    a, b = stream.randrange(len(lines)), stream.randrange(len(lines))
    kind = stream.randrange(6)
    if kind == 0:
        del lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    elif kind == 2:
        lines[a], lines[b] = lines[b], lines[a]
    elif kind == 3:
        lines[a] = stream.choice(("", " ", "\t", "#", "\x1a"))
    elif kind == 4:
        lines[a : a + 2] = [" ".join(lines[a : a + 2])]
    else:
        lines[a] = lines[a] * stream.choice((2, 100))
    return _bytes(stream.choice(("\n", "\n", "\n", "\r\n", "\r", "\u2028", "\x85", "\x1c")).join(lines))


def change_encoding(stream: random.Random, content: bytes) -> bytes:
    """Write the same text as another program would, or half of it."""
    encoded = _text(content).encode(stream.choice(ENCODINGS), "replace")
    at = stream.choice((0, stream.randrange(len(content) + 1)))
    return stream.choice((encoded, content[:at] + encoded))


BINARY: tuple[Mutation, ...] = (
    *(cut, behead, flip_bits, flip_bits, set_bytes, delete_run, repeat_run, insert_noise, set_integer, other_content),
)  # fmt: skip
TEXT: tuple[Mutation, ...] = (
    *(change_word, change_word, change_word, change_number, change_number, change_line, change_line, change_encoding),
    *(cut, flip_bits, set_bytes, delete_run, insert_noise, other_content),
)


def broken(stream: random.Random, seeds: Sequence[bytes], mutations: Sequence[Mutation]) -> bytes:
    """One of `seeds` after one to three mutations; never the seed itself."""
    whole = stream.choice(seeds)
    content = whole
    for _ in range(stream.choice((1, 1, 1, 2, 3))):
        content = stream.choice(mutations)(stream, content)
    while content in seeds:
        content = stream.choice(mutations)(stream, content)
    return content


def _run(stream: random.Random, content: bytes) -> tuple[int, int]:
    at = stream.randrange(len(content) + 1)
    return at, min(stream.choice((1, 2, 4, 8, 64, len(content) // 2)), len(content) - at)


def _text(content: bytes) -> str:
    # Every byte has a character and the way back is exact.
    return content.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
