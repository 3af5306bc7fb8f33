"""KITTI's label and result files: one object a line."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monokd.classes import KITTI_NAMES
from monokd.errors import DataError
from monokd.files import read_bytes, write_text
from monokd.kitti.calibration import parse_number
from monokd.kitti.objects import Objects, from_rows
from monokd.typing import Bools, Floats, Ints

OTHER = -1
LARGEST = 1e6  # pixels, metres or radians; beyond, areas and volumes lose their digits
FIELDS = (
    *("class", "truncation", "occlusion", "alpha", "left", "top", "right", "bottom"),
    *("height", "width", "length", "x", "y", "z", "rotation_y", "score"),
)
TEXT = bytes(range(32, 127)) + b"\t\n\v\f\r"
_CODES = {name.lower().encode(): code for code, name in enumerate(KITTI_NAMES)}


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """The lines of F files as columns, N lines in all, in the order of the files and of their lines."""

    rows: Floats  # N×15 numbers of the lines in KITTI's order, the score last (NaN in labels)
    classes: Ints  # N indices into `KITTI_NAMES` (names match in any case), `OTHER` for names that KITTI does not know
    offsets: Ints  # F+1; file f has the rows offsets[f] to offsets[f + 1]
    missing: tuple[int, ...]  # indices of the files that do not exist
    unknown: dict[str, int]  # how often each name occurs that KITTI does not know, by first appearance


def read_labels(path: str | Path) -> Objects:
    """Read a label file: 15 fields a line, no score.

    Raises:
        DataError: unreadable, not text, a wrong count of fields, a field that is no finite number up to `LARGEST`, a
            negative size (but KITTI's marks for DontCare and for objects without a 3D box are fine).
    """
    return _read_objects(path, scores=False)


def read_results(path: str | Path) -> Objects:
    """Read a result file: 16 fields a line, the score last; DataError as `read_labels`."""
    return _read_objects(path, scores=True)


def read_table(folder: str | Path, frames: Sequence[str], *, scores: bool, missing_ok: bool = False) -> LabelTable:
    """Read FOLDER/FRAME.txt of many frames at once, results (16 fields) or labels (15); DataError as `read_labels`.

    A missing file counts as empty with `missing_ok`.
    """
    paths = [f"{folder}{os.sep}{frame}.txt" for frame in frames]
    present = [not missing_ok or os.path.lexists(path) for path in paths]
    contents = [read_bytes(path, "file") if there else b"" for path, there in zip(paths, present, strict=True)]
    names, rows, offsets = _parse(contents, paths, scores)
    classes = np.array([_CODES.get(name.lower(), OTHER) for name in names], dtype=np.int64)
    unknown = Counter(names[i].decode("ascii") for i in np.flatnonzero(classes == OTHER))
    missing = tuple(i for i, there in enumerate(present) if not there)
    return LabelTable(rows, classes, offsets, missing, dict(unknown))


def write_results(path: str | Path, objects: Objects, score_decimals: int = 6) -> None:
    """Write a result file, whole or not at all; no objects make an empty file, as KITTI's server wants it.

    2 digits of the score are published (quirk Q13), which makes ties that move AP by up to half a point; 6 correct it.
    Numbers that are not finite are a DataError.
    """
    if not np.isfinite(objects.scores).all():
        line = int(np.argmin(np.isfinite(objects.scores)))
        raise DataError(f"score: expected a finite number to write, found {objects.scores[line]}", path, line + 1)
    scores = (f"{score:.{score_decimals}f}" for score in objects.scores.tolist())
    lines = [f"{_line(objects, i, path)} {score}\n" for i, score in enumerate(scores)]
    write_text(path, "".join(lines))


def _read_objects(path: str | Path, scores: bool) -> Objects:
    names, rows, _ = _parse([read_bytes(path, "file")], [str(path)], scores)
    return from_rows(tuple(name.decode("ascii") for name in names), rows)


def _parse(contents: Sequence[bytes], paths: Sequence[str], scores: bool) -> tuple[list[bytes], Floats, Ints]:
    """Parse files to N names, N×15 numbers, F+1 offsets of rows; a fault is looked for only when there is one."""
    fields = len(FIELDS) if scores else len(FIELDS) - 1
    words: list[bytes] = []
    offsets = np.zeros(len(contents) + 1, dtype=np.int64)
    whole = True
    for f, content in enumerate(contents, start=1):
        for line in content.split(b"\n"):
            found = line.split()
            whole &= len(found) in (0, fields)
            words += found
        offsets[f] = len(words) // fields
    names = words[::fields]
    rows = np.full((len(names), len(FIELDS) - 1), np.nan)
    if whole:
        del words[::fields]
        try:
            rows[:, : fields - 1] = np.fromiter(map(float, words), float, len(words)).reshape(-1, fields - 1)
        except ValueError:
            whole = False
    underscores = b"_" in b"".join(words)  # which Python takes for separators of digits
    if not whole or underscores or b"".join(contents).translate(None, TEXT) or not _fine(names, rows, scores).all():
        raise _fault(contents, paths, fields)
    return names, rows, offsets


def _fine(names: Sequence[bytes], rows: Floats, scores: bool) -> Bools:
    """Which of N×15 numbers can stand in a file: a score may be any, a label has none."""
    fine = np.abs(rows) <= LARGEST
    fine[:, -1] = np.isfinite(rows[:, -1]) if scores else True
    marks = (rows[:, 7:11] == (-1, -1, -1, -1000)).all(axis=1) & (rows[:, 12] == -1000)  # no 3D box
    unsized = marks | np.array([name.lower() == b"dontcare" for name in names], dtype=bool)
    fine[:, 7:10] &= (rows[:, 7:10] >= 0) | unsized[:, None]
    return fine


def _fault(contents: Sequence[bytes], paths: Sequence[str], fields: int) -> DataError:
    """The first fault of the first file at fault."""
    for content, path in zip(contents, paths, strict=True):
        for number, line in enumerate(content.split(b"\n"), start=1):
            if reason := _reason(line, fields):
                return DataError(reason, path, number)
    raise AssertionError("a fault that no line has")


def _reason(line: bytes, fields: int) -> str | None:
    """What is wrong with a line, None where nothing is."""
    odd, words = line.translate(None, TEXT), line.split()
    if odd:
        return f"expected lines of text, found the byte 0x{odd[0]:02x} (is this a binary file?)"
    if len(words) not in (0, fields):
        hint = {(16, 15): ", no score", (15, 16): ", a score in a label"}.get((fields, len(words)), "")
        return f"expected {fields} fields ({FIELDS[0]} to {FIELDS[fields - 1]}), found {len(words)}{hint}"
    values = [parse_number(word.decode("ascii")) for word in words[1:]] + [math.nan] * (len(FIELDS) - fields)
    if not words or (fine := _fine(words[:1], np.array([values]), fields == len(FIELDS))[0]).all():
        return None
    column = int(np.argmin(fine))
    name, word = FIELDS[column + 1], words[column + 1].decode("ascii")[:40]
    if 7 <= column < 10 and -LARGEST <= values[column] < 0:
        return f"{name}: expected a size in metres that is not negative, found {word}"
    limit = f" of at most {LARGEST:g}" if math.isfinite(values[column]) else ""
    return f"{name}: expected a finite number{limit}, found '{word}'"


def _line(objects: Objects, i: int, path: str | Path) -> str:
    """One line without its score; −1 stays short where a file does not say."""
    name, truncation, occlusion = objects.names[i], objects.truncation[i], objects.occlusion[i]
    boxes = *objects.boxes_px[i], *objects.sizes_m[i], *objects.locations_m[i]
    numbers = [objects.alpha_rad[i], *boxes, objects.rotation_y_rad[i]]
    if not np.isfinite([truncation, occlusion, *numbers]).all():
        raise DataError(f"expected finite numbers to write, found {[truncation, occlusion, *numbers]}", path, i + 1)
    first = "-1" if truncation == -1 else f"{truncation:.2f}"
    return " ".join([name, first, f"{occlusion:.0f}", *(f"{x:.2f}" for x in numbers)])
