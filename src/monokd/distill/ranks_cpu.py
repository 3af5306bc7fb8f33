"""Moments, correlation gradients and smoothed ranks of rows on a CPU, in few passes over the memory, sums in float64.

Rows are B×N arrays of float32 or float64, contiguous. Sums run over values less the row's first, so that a constant row
has a spread of exactly 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monokd.compiled import compiled

Rows = NDArray[Any]
Doubles = NDArray[np.float64]
SUMS = frozenset({"contract", "reassoc", "nsz"})


@compiled(fastmath=SUMS)
def moments(a: Rows, b: Rows, out: Doubles) -> None:
    """Every row's means of a and b, and sums of squares and of products about them: B×6 (a, b, aa, ab, ba, bb).

    NaN where a value is not finite.
    """
    count = a.shape[1]
    for i in range(a.shape[0]):
        x, y = a[i], b[i]
        first_x, first_y = np.float64(x[0]), np.float64(y[0])
        sum_x, sum_y, sum_xx, sum_yy, sum_xy = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(count):
            dx, dy = np.float64(x[j]) - first_x, np.float64(y[j]) - first_y
            sum_x += dx
            sum_y += dy
            sum_xx += dx * dx
            sum_yy += dy * dy
            sum_xy += dx * dy
        if not np.isfinite(sum_xx + sum_yy):
            out[i] = np.nan
            continue
        out[i, 0], out[i, 1] = first_x + sum_x / count, first_y + sum_y / count
        out[i, 2] = sum_xx - sum_x * sum_x / count
        out[i, 3] = out[i, 4] = sum_xy - sum_x * sum_y / count
        out[i, 5] = sum_yy - sum_y * sum_y / count


@compiled(fastmath=SUMS)
def blend(a: Rows, b: Rows, of_a: float, of_b: float, shifts: Doubles, out: Rows) -> None:
    """`out` = of_a·a + of_b·b + the row's shift."""
    for i in range(a.shape[0]):
        x, y, z, shift = a[i], b[i], out[i], shifts[i]
        for j in range(a.shape[1]):
            z[j] = of_a * x[j] + of_b * y[j] + shift


@compiled(fastmath=SUMS)
def spreads(rows: Rows, means: Doubles, deviations: Doubles) -> None:
    """Every row's mean and standard deviation (over N − 1), into B and B numbers."""
    count = rows.shape[1]
    for i in range(rows.shape[0]):
        x = rows[i]
        first, total, squares = np.float64(x[0]), 0.0, 0.0
        for j in range(count):
            d = np.float64(x[j]) - first
            total += d
            squares += d * d
        means[i] = first + total / count
        deviations[i] = np.sqrt(max(squares - total * total / count, 0.0) / (count - 1))


@compiled(inline=True)
def _place(x: float, mean: float, scale: float, middle: float) -> float:
    """Where a value lies among the bins, in bins."""
    return (x - mean) * scale + middle


@compiled(inline=True)
def _bin(place: float, last: float) -> tuple[int, float]:
    """The bin below a place and how far beyond it the place is; outside, those of the nearest place inside."""
    kept = min(max(place, 0.0), last)
    left = int(kept)
    return left, kept - left


@compiled(inline=True)
def _shares_before(counts: Doubles, length: int) -> None:
    """In place of each bin's count, the share of `length` that lies before the bin's middle."""
    before = 0.0
    for k in range(counts.shape[0]):
        here = counts[k]
        counts[k] = (before + 0.5 * here) / length
        before += here


@compiled
def rank_rows(rows: Rows, means: Doubles, widths: Doubles, middle: float, below: Doubles, out: Rows) -> None:
    """Ranks of every row, and the B×bins table `below` of the share of values below each bin.

    A value's place is (x − mean)/width + middle, between two bins; rows whose width is not finite get NaN.
    """
    last, length = below.shape[1] - 1.001, rows.shape[1]
    for i in range(rows.shape[0]):
        if not np.isfinite(widths[i]):
            out[i] = np.nan
            continue
        x, ranks, table, mean, scale = rows[i], out[i], below[i], means[i], 1.0 / widths[i]
        table[:] = 0.0
        for j in range(length):
            left, beyond = _bin(_place(x[j], mean, scale, middle), last)
            table[left] += 1.0 - beyond
            table[left + 1] += beyond
        _shares_before(table, length)
        for j in range(length):
            left, beyond = _bin(_place(x[j], mean, scale, middle), last)
            ranks[j] = table[left] + beyond * (table[left + 1] - table[left])


@compiled
def rank_gradients(
    g: Rows, rows: Rows, means: Doubles, widths: Doubles, middle: float, below: Doubles, out: Rows
) -> None:
    """Gradients of `rows` for those of the ranks, g; mean and width count as constants."""
    bins, length = below.shape[1], rows.shape[1]
    last = bins - 1.001
    counts = np.empty(bins)
    for i in range(rows.shape[0]):
        if not np.isfinite(widths[i]):
            out[i] = np.nan
            continue
        x, g_rank, table, mean, scale = rows[i], g[i], below[i], means[i], 1.0 / widths[i]
        counts[:] = 0.0
        for j in range(length):
            left, beyond = _bin(_place(x[j], mean, scale, middle), last)
            counts[left] += g_rank[j] * (1.0 - beyond)
            counts[left + 1] += g_rank[j] * beyond
        _shares_before(counts[::-1], length)
        for j in range(length):
            place = _place(x[j], mean, scale, middle)
            if place < 0.0 or place > last:
                out[i, j] = 0.0
                continue
            left = int(place)
            slope = g_rank[j] * (table[left + 1] - table[left]) + counts[left + 1] - counts[left]
            out[i, j] = slope * scale
