"""KITTI's label and result files: one object a line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monokd.errors import DataError
from monokd.files import replacing
from monokd.kitti import parsing
from monokd.kitti.objects import Objects, from_rows
from monokd.reading import read_whole

CLASSES = ("Car", "Pedestrian", "Cyclist", "Van", "Person_sitting", "DontCare", "Truck", "Tram", "Misc")
OTHER = -1
LARGEST = 1e6  # pixels, metres or radians; beyond, areas and volumes lose their digits
FIELDS = (
    *("class", "truncation", "occlusion", "alpha", "left", "top", "right", "bottom"),
    *("height", "width", "length", "x", "y", "z", "rotation_y", "score"),
)
_NAMES = np.frombuffer("".join(CLASSES).lower().encode(), dtype=np.uint8)
_ENDS = np.cumsum([len(name) for name in CLASSES]).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """The lines of F files as columns, N lines in all, in the order of the files and of their lines.

    Attributes:
        rows: N×15 numbers of the lines in KITTI's order, the score last (NaN in labels).
        classes: N indices into `CLASSES` (names match in any case), `OTHER` for names that KITTI does not
            know.
        offsets: F+1; file f has the rows offsets[f] to offsets[f + 1].
        missing: indices of the files that do not exist.
        unknown: how often each name occurs that KITTI does not know, by first appearance.
    """

    rows: NDArray[np.float64]
    classes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    missing: tuple[int, ...]
    unknown: dict[str, int]


def read_labels(path: str | Path) -> Objects:
    """Read a label file: 15 fields a line, no score.

    Raises:
        DataError: unreadable, not text, a wrong count of fields, a field that is no finite number up to `LARGEST`, a
            negative size (but KITTI's marks for DontCare and for objects without a 3D box are fine).
    """
    return _read_objects(path, scores=False)


def read_results(path: str | Path) -> Objects:
    """Read a result file: 16 fields a line, the score last.

    Raises:
        DataError: as `read_labels`.
    """
    return _read_objects(path, scores=True)


def read_table(folder: str | Path, frames: Sequence[str], *, scores: bool, missing_ok: bool = False) -> LabelTable:
    """Read FOLDER/FRAME.txt for many frames at once.

    Args:
        folder: where the files are.
        frames: their names without suffix.
        scores: whether they are results (16 fields) or labels (15).
        missing_ok: whether a file that does not exist counts as empty.

    Raises:
        DataError: as `read_labels`; or a missing file unless `missing_ok`.
    """
    paths = [f"{folder}{os.sep}{frame}.txt" for frame in frames]
    contents = [_content(path, missing_ok) for path in paths]
    text, rows, spans, offsets = _parse([content or b"" for content in contents], paths, scores)
    classes = parsing.codes_of(np.frombuffer(text, dtype=np.uint8), spans, _NAMES, _ENDS)
    unknown: dict[str, int] = {}
    for start, end in spans[classes == OTHER]:
        name = text[start:end].decode("ascii")
        unknown[name] = unknown.get(name, 0) + 1
    missing = tuple(i for i, content in enumerate(contents) if content is None)
    return LabelTable(rows, classes, offsets, missing, unknown)


def write_labels(path: str | Path, objects: Objects, decimals: int = 2) -> None:
    """Write a label file, whole or not at all; scores are left out.

    Raises:
        DataError: a number is not finite, or a name is no single word.
    """
    _write(path, [_words(objects, i, decimals, path) for i in range(len(objects))])


def write_results(path: str | Path, objects: Objects, score_decimals: int = 6, decimals: int = 2) -> None:
    """Write a result file, whole or not at all; no objects make an empty file, as KITTI's server wants it.

    Args:
        path: the file.
        objects: with finite scores.
        score_decimals: digits of the score after the point. 2 as published (quirk Q13), which makes ties
            that move AP by up to half a point; 6 corrects it.
        decimals: digits of every other number after the point.

    Raises:
        DataError: a number is not finite, or a name is no single word.
    """
    lines = []
    for i in range(len(objects)):
        score = float(objects.scores[i])
        if not np.isfinite(score):
            raise DataError(f"score: expected a finite number to write, found {score}", path, i + 1)
        lines.append(f"{_words(objects, i, decimals, path)} {score:.{score_decimals}f}")
    _write(path, lines)


def _read_objects(path: str | Path, scores: bool) -> Objects:
    text, rows, spans, _ = _parse([_content(str(path), missing_ok=False) or b""], [str(path)], scores)
    return from_rows(tuple(text[start:end].decode("ascii") for start, end in spans), rows)


def _content(path: str, missing_ok: bool) -> bytes | None:
    try:
        return read_whole(path)
    except FileNotFoundError as error:
        if missing_ok:
            return None
        raise DataError("no such file", path) from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path) from error


def _parse(
    contents: Sequence[bytes], paths: Sequence[str], scores: bool
) -> tuple[bytes, NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The joined text, N×15 numbers, N×2 places of the names in the text, F+1 offsets of the files' rows."""
    text = b"".join(contents)
    starts = np.zeros(len(contents) + 1, dtype=np.int64)
    np.cumsum([len(content) for content in contents], out=starts[1:])
    fields = len(FIELDS) - (not scores)
    raw = np.frombuffer(text, dtype=np.uint8)
    rows, spans, lines, offsets, doubts, (code, file, line, detail) = parsing.parse(raw, starts, fields)
    if code != parsing.FINE:
        found = text[starts[file] : starts[file + 1]].split(b"\n")[line - 1]
        raise DataError(_reason(code, detail, found, fields), paths[file], line)
    for row, column, start, end in doubts.tolist():
        rows[row, column] = float(text[start:end])
    fine = _in_range(rows, scores)
    if not fine.all():
        row, column = (int(i) for i in np.argwhere(~fine)[0])
        file = int(np.searchsorted(offsets, row, side="right")) - 1
        words = text[spans[row, 0] :].split(b"\n", 1)[0]
        limit = f" of at most {LARGEST:g}" if np.isfinite(rows[row, column]) else ""
        reason = _reason(parsing.BAD_NUMBER, column + 1, words, fields, limit)
        raise DataError(reason, paths[file], int(lines[row]))
    return text, rows, spans, offsets


def _in_range(rows: NDArray[np.float64], scores: bool) -> NDArray[np.bool_]:
    """Which of N×15 numbers can stand in a file: a score may be any, a label has none."""
    fine = np.abs(rows) <= LARGEST
    fine[:, -1] = np.isfinite(rows[:, -1]) if scores else True
    return fine


def _reason(code: int, detail: int, line: bytes, fields: int, limit: str = "") -> str:
    """What is wrong with a line: `detail` is the byte, the count or the field at fault."""
    if code == parsing.BAD_BYTE:
        return f"expected lines of text, found the byte 0x{detail:02x} (is this a binary file?)"
    if code == parsing.BAD_COUNT:
        hint = (
            ", no score"
            if (fields, detail) == (16, 15)
            else ", a score in a label"
            if (fields, detail) == (15, 16)
            else ""
        )
        return f"expected {fields} fields ({FIELDS[0]} to {FIELDS[fields - 1]}), found {detail}{hint}"
    word = line.split()[detail].decode("ascii", "replace")[:40]
    if code == parsing.BAD_SIZE:
        return f"{FIELDS[detail]}: expected a size in metres that is not negative, found {word}"
    return f"{FIELDS[detail]}: expected a finite number{limit}, found '{word}'"


def _words(objects: Objects, i: int, decimals: int, path: str | Path) -> str:
    """One line without its score; −1 stays short where a file does not say."""
    name = objects.names[i]
    numbers = np.concatenate(
        [
            [objects.alpha_rad[i]],
            objects.boxes_px[i],
            objects.sizes_m[i],
            objects.locations_m[i],
            [objects.rotation_y_rad[i]],
        ]
    )
    first = np.array([objects.truncation[i], objects.occlusion[i]])
    if not (np.isfinite(numbers).all() and np.isfinite(first).all()):
        raise DataError(f"expected finite numbers to write, found {[*first, *numbers]}", path, i + 1)
    if len(name.split()) != 1:
        raise DataError(f"expected a class name of one word to write, found {name!r}", path, i + 1)
    truncation = "-1" if first[0] == -1 else f"{first[0]:.{decimals}f}"
    return " ".join([name, truncation, f"{first[1]:.0f}", *(f"{x:.{decimals}f}" for x in numbers.tolist())])


def _write(path: str | Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
