"""The compiled reader of KITTI's lines: a class name and numbers, from bytes to columns.

Numbers come out as the nearest float64, as C's `strtod` gives them. Up to 18 significant digits and 22
places are decided here in double-double arithmetic; the rest is listed as doubtful and left to Python.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FINE, BLANK, BAD_BYTE, BAD_COUNT, BAD_NUMBER, BAD_SIZE = 0, 1, 2, 3, 4, 5
COLUMNS = 15
DONT_CARE = np.frombuffer(b"dontcare", dtype=np.uint8)
POWERS = np.array([float(10**k) for k in range(23)])  # every one of them is exact
EXACT_BELOW = 2**53
NEWLINE, SPACE, PLUS, MINUS, POINT, ZERO, NINE = 10, 32, 43, 45, 46, 48, 57


@compiled
def _quotient(mantissa: int, places: int) -> tuple[float, bool]:
    """`mantissa` / 10^places for mantissas of 54 to 60 bits, and whether the rounding is certain."""
    divisor = POWERS[places]
    low = float(mantissa & 255)
    high = float(mantissa - (mantissa & 255))
    quotient = high / divisor
    # Dekker's product: quotient × divisor = product + error, exactly.
    product = quotient * divisor
    split = quotient * 134217729.0
    q_high = split - (split - quotient)
    q_low = quotient - q_high
    split = divisor * 134217729.0
    d_high = split - (split - divisor)
    d_low = divisor - d_high
    error = ((q_high * d_high - product) + q_high * d_low + q_low * d_high) + q_low * d_low
    rest = (((high - product) - error) + low) / divisor
    slack = abs(rest) * 2.0**-40
    value = quotient + rest
    return value, (quotient + (rest - slack)) == (quotient + (rest + slack))


@compiled
def _scaled(mantissa: int, exponent: int) -> tuple[float, bool]:
    """`mantissa` × 10^exponent, and whether it is certainly the nearest float64."""
    if mantissa == 0:
        return 0.0, True
    if mantissa <= EXACT_BELOW and -22 <= exponent <= 22:
        if exponent < 0:
            return mantissa / POWERS[-exponent], True
        return mantissa * POWERS[exponent], True
    if -22 <= exponent < 0:
        return _quotient(mantissa, -exponent)
    return 1.0, False


@compiled
def _mantissa(text: Bytes, start: int, end: int) -> tuple[int, int, int, bool]:
    """Digits with at most one point: value, exponent, end (−1 without a digit), whether all of them count."""
    mantissa, exponent, digits, i = 0, 0, 0, start
    seen, point, whole = False, False, True
    while i < end:
        c = int(text[i])
        if ZERO <= c <= NINE:
            seen = True
            if digits < 18:
                mantissa = mantissa * 10 + c - ZERO
                digits += mantissa != 0
                exponent -= point
            else:
                whole = False
        elif c == POINT and not point:
            point = True
        else:
            break
        i += 1
    return mantissa, exponent, i if seen else -1, whole


@compiled
def _number(text: Bytes, start: int, end: int) -> tuple[float, int]:
    """The number that text[start:end] spells, and 1 exact, 0 doubtful (its sign is right), −1 no number."""
    negative = text[start] == MINUS
    begin = start + 1 if negative or text[start] == PLUS else start
    mantissa, exponent, i, whole = _mantissa(text, begin, end)
    if i < 0:
        return 0.0, -1
    if i < end:
        if text[i] not in (69, 101):  # E, e
            return 0.0, -1
        i += 1
        minus = i < end and text[i] == MINUS
        i += i < end and (text[i] in (MINUS, PLUS))
        power, digits = 0, i
        while i < end and ZERO <= text[i] <= NINE:
            power = min(power * 10 + int(text[i]) - ZERO, 100_000)
            i += 1
        if i < end or i == digits:
            return 0.0, -1
        exponent += -power if minus else power
    value, exact = _scaled(mantissa, exponent)
    return (-value if negative else value), (1 if exact and whole else 0)


@compiled
def _is_dont_care(text: Bytes, start: int, end: int) -> bool:
    if end - start != DONT_CARE.size:
        return False
    same = True
    for k in range(DONT_CARE.size):
        same &= (text[start + k] | 32) == DONT_CARE[k]
    return same


@compiled
def _bad_size(row: Floats) -> int:
    """The first column of a negative height, width or length, or −1; KITTI's marks of no 3D box are fine."""
    if row[7] == -1 and row[8] == -1 and row[9] == -1 and row[10] == -1000 and row[12] == -1000:
        return -1
    for column in range(7, 10):
        if row[column] < 0:
            return column
    return -1


@compiled
def _line(
    text: Bytes, start: int, end: int, fields: int, row: Floats, doubts: Ints, span: Ints
) -> tuple[int, int, int, int]:
    """Read one line into `row` and its class name's place into `span`.

    Returns where the next line starts, a code, the field or count at fault, and how many words went to
    `doubts` (column, start, end).
    """
    i, field, doubtful, bad = start, 0, 0, -1
    while i < end and text[i] != NEWLINE:
        if text[i] == SPACE or 9 <= text[i] <= 13:
            i += 1
            continue
        word = i
        while i < end and 33 <= text[i] <= 126:
            i += 1
        if i == word:
            return i, BAD_BYTE, int(text[i]), doubtful
        if field == 0:
            span[0], span[1] = word, i
        elif field < fields:
            row[field - 1], exact = _number(text, word, i)
            if exact < 0 and bad < 0:
                bad = field
            elif exact == 0:
                doubts[doubtful, 0], doubts[doubtful, 1], doubts[doubtful, 2] = field - 1, word, i
                doubtful += 1
        field += 1
    i += 1
    if field == 0:
        return i, BLANK, 0, doubtful
    if field != fields:
        return i, BAD_COUNT, field, doubtful
    if bad >= 0:
        return i, BAD_NUMBER, bad, doubtful
    size = _bad_size(row)
    if size >= 0 and not _is_dont_care(text, span[0], span[1]):
        return i, BAD_SIZE, size + 1, doubtful
    return i, FINE, 0, doubtful


@compiled
def parse(text: Bytes, starts: Ints, fields: int) -> tuple[Floats, Ints, Ints, Ints, Ints, tuple[int, int, int, int]]:
    """Parse F files, one after the other in `text`.

    Args:
        text: the bytes of all files.
        starts: F+1 positions; file f is text[starts[f]:starts[f + 1]].
        fields: words a line must have, 15 in labels and 16 in results.

    Returns:
        N×15 numbers (the last column NaN in labels), N×2 places of the class names, N line numbers from 1,
        F+1 offsets of the files' rows, D×4 words that Python must convert (row, column, start, end), and the
        first
        fault: code, file, line, detail.
    """
    room = starts.size + np.count_nonzero(text == NEWLINE)
    rows = np.full((room, COLUMNS), np.nan)
    spans = np.empty((room, 2), np.int64)
    lines = np.empty(room, np.int64)
    offsets = np.zeros(starts.size, np.int64)
    doubts = np.empty((0, 4), np.int64)
    found = np.empty((COLUMNS, 3), np.int64)
    n, d = 0, 0
    for f in range(starts.size - 1):
        i, line = starts[f], 0
        while i < starts[f + 1]:
            line += 1
            i, code, detail, count = _line(text, i, starts[f + 1], fields, rows[n], found, spans[n])
            if code == BLANK:
                continue
            if code != FINE:
                return rows[:n], spans[:n], lines[:n], offsets, doubts[:d], (code, f, line, detail)
            if d + count > doubts.shape[0]:
                doubts = np.concatenate((doubts, np.empty((d + 1024, 4), np.int64)))
            for k in range(count):
                doubts[d + k, 0] = n
                doubts[d + k, 1:] = found[k]
            d += count
            lines[n] = line
            n += 1
        offsets[f + 1] = n
    return rows[:n], spans[:n], lines[:n], offsets, doubts[:d], (FINE, 0, 0, 0)


@compiled
def codes_of(text: Bytes, spans: Ints, names: Bytes, ends: Ints) -> Ints:
    """Index of every class name in the lower-case `names` (joined, name k ends at ends[k]), −1 for others."""
    codes = np.full(spans.shape[0], -1, np.int64)
    for row in range(spans.shape[0]):
        length = spans[row, 1] - spans[row, 0]
        begin = 0
        for k in range(ends.size):
            if ends[k] - begin == length:
                same = True
                for j in range(length):
                    c = text[spans[row, 0] + j]
                    same &= (c + 32 if 65 <= c <= 90 else c) == names[begin + j]
                if same:
                    codes[row] = k
                    break
            begin = ends[k]
    return codes
