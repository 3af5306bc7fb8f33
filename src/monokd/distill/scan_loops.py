"""The compiled loops of the selective scan on a CPU: sequential over tokens, sixteen channels at a time.

A compiler vectorises such loops only as long as it can prove that no two of their arrays overlap, which with a dozen
of them it cannot. So they are written in vectors of `LANES` float32 numbers, which LLVM fits to the registers that
there are. numba's cache watches the function's own file only, so the vectors' arithmetic stands here too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

from monokd.compiled import compiled

Floats = NDArray[Any]

LANES = 16
"""Numbers of a vector: those of the widest registers; narrower ones hold it in several."""

CHUNK = 32
"""Tokens between the states that the forward pass keeps; the backward pass computes those between again."""


class _Vector(types.Type):
    """What numba calls the type."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_VECTOR = _Vector()
_FLOATS, _INTEGERS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)


class _Model(models.PrimitiveModel):
    """What LLVM holds it in."""

    def __init__(self, manager: Any, vector: Any) -> None:
        super().__init__(manager, vector, _FLOATS)  # type: ignore[no-untyped-call]


register_model(_Vector)(_Model)


def _floats(x: float) -> Any:
    return ir.Constant(_FLOATS, [x] * LANES)


def _integers(x: int) -> Any:
    return ir.Constant(_INTEGERS, [x] * LANES)


def _call(builder: Any, name: str, result: Any, *values: Any, fastmath: Sequence[str] = ()) -> Any:
    """One of LLVM's own functions."""
    signature = ir.FunctionType(result, [value.type for value in values])
    name = f"llvm.{name}.v{LANES}f32"
    function = cgutils.get_or_insert_function(builder.module, signature, name)  # type: ignore[no-untyped-call]
    return builder.call(function, values, fastmath=fastmath)


def _fits(array: Any) -> bool:
    """Whether numbers of the vectors' type lie next to each other; else numba refuses to compile."""
    return bool(array.dtype == types.float32 and array.layout == "C" and array.ndim == 1)


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    first = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(first, [index]), _FLOATS.as_pointer())


def _load(_context: Any, array: Any, _index: Any) -> tuple[Any, Callable[..., Any]] | None:
    """The vector of a flat array's numbers from `index` on; nothing checks the borders."""
    if not _fits(array):
        return None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        loaded = builder.load(_address(context, builder, signature.args[0], *values))
        loaded.align = 4
        return loaded

    return _VECTOR(array, types.intp), emit


def _store(_context: Any, array: Any, _index: Any, _numbers: Any) -> tuple[Any, Callable[..., Any]] | None:
    """Write a vector to a flat array from `index` on; nothing checks the borders."""
    if not _fits(array):
        return None

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _address(context, builder, signature.args[0], *values[:2])).align = 4
        return context.get_dummy_value()

    return types.void(array, types.intp, _VECTOR), emit


def _splat(_context: Any, _number: Any) -> tuple[Any, Callable[..., Any]]:
    """A vector of one number."""

    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        unset = ir.Constant(_FLOATS, ir.Undefined)
        first = builder.insert_element(unset, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, unset, _integers(0))

    return _VECTOR(types.float32), emit


def _total(_context: Any, _numbers: Any) -> tuple[Any, Callable[..., Any]]:
    """The sum of a vector's numbers, by halves."""

    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        zero = ir.Constant(ir.FloatType(), 0.0)
        return _call(builder, "vector.reduce.fadd", ir.FloatType(), zero, values[0], fastmath=("reassoc",))

    return types.float32(_VECTOR), emit


def _exp2(_context: Any, _numbers: Any) -> tuple[Any, Callable[..., Any]]:
    """2 to the power of numbers up to 0: the whole part into the exponent, the rest by the exponential series.

    Adding 1.5·2²³ rounds to whole numbers, which then stand in the sum's lowest bits.
    """
    series = [math.log(2) ** i / math.factorial(i) for i in range(7)]

    def emit(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        lowest = _floats(-126.0)
        x = builder.select(builder.fcmp_ordered(">", lowest, values[0]), lowest, values[0])  # NaN stays
        rounded = builder.fadd(x, _floats(1.5 * 2**23))
        rest = builder.fsub(x, builder.fsub(rounded, _floats(1.5 * 2**23)))
        power = _floats(series[-1])
        for factor in series[-2::-1]:
            power = _call(builder, "fmuladd", _FLOATS, power, rest, _floats(factor))
        exponent = builder.shl(builder.bitcast(rounded, _INTEGERS), _integers(23))
        return builder.bitcast(builder.add(builder.bitcast(power, _INTEGERS), exponent), _FLOATS)

    return _VECTOR(_VECTOR), emit


def _sum(_context: Any, _a: Any, _b: Any) -> tuple[Any, Callable[..., Any]]:
    return _VECTOR(_VECTOR, _VECTOR), lambda _context, builder, _signature, values: builder.fadd(*values)


def _product(_context: Any, _a: Any, _b: Any) -> tuple[Any, Callable[..., Any]]:
    return _VECTOR(_VECTOR, _VECTOR), lambda _context, builder, _signature, values: builder.fmul(*values)


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
splat: Any = intrinsic(_splat)
total: Any = intrinsic(_total)
exp2: Any = intrinsic(_exp2)
_add: Any = intrinsic(_sum)
_multiply: Any = intrinsic(_product)


def _plus(a: Any, b: Any) -> Any:
    return _add_lanes if a == b == _VECTOR else None


def _times(a: Any, b: Any) -> Any:
    if a != _VECTOR:
        return None
    return _multiply_lanes if b == _VECTOR else _scale_lanes


def _add_lanes(a: Any, b: Any) -> Any:
    return _add(a, b)


def _multiply_lanes(a: Any, b: Any) -> Any:
    return _multiply(a, b)


def _scale_lanes(a: Any, b: Any) -> Any:
    return _multiply(a, splat(b))


overload(operator.add)(_plus)
overload(operator.mul)(_times)


@compiled(fastmath={"contract"})
def forward(
    u: Floats, delta: Floats, A: Floats, B: Floats, C: Floats, D: Floats, low: int, high: int, y: Floats,
    kept: Floats,
) -> None:  # fmt: skip
    """Outputs and kept states of the channels low to high (multiples of LANES) of one sequence.

    All arrays are flat and float32: u, delta and y L×d, A n×d in units of ln 2, B and C L×n, D d, kept chunks×n×d.
    """
    channels = D.shape[0]
    states, width = A.shape[0] // channels, high - low
    h = np.zeros(states * width, np.float32)
    for t in range(u.shape[0] // channels):
        if t % CHUNK == 0:
            for s in range(states):
                place = (t // CHUNK * states + s) * channels
                kept[place + low : place + high] = h[s * width : (s + 1) * width]
        for j in range(0, width, LANES):
            place = t * channels + low + j
            step, x = load(delta, place), load(u, place)
            inputs, out = step * x, load(D, low + j) * x
            for s in range(states):
                decay = exp2(step * load(A, s * channels + low + j))
                state = decay * load(h, s * width + j) + inputs * B[t * states + s]
                store(h, s * width + j, state)
                out = out + state * C[t * states + s]
            store(y, place, out)


@compiled(fastmath={"contract"})
def _replay(
    u: Floats, delta: Floats, A: Floats, B: Floats, channels: int, first: int, count: int, low: int, high: int,
    h: Floats, decays: Floats,
) -> None:  # fmt: skip
    """States h[1 …] and decays (tokens×n×width each) of `count` tokens from `first` on, from the state h[0]."""
    states, width = A.shape[0] // channels, high - low
    for k in range(count):
        t = first + k
        for j in range(0, width, LANES):
            place = t * channels + low + j
            step = load(delta, place)
            inputs = step * load(u, place)
            for s in range(states):
                at = (k * states + s) * width + j
                decay = exp2(step * load(A, s * channels + low + j))
                store(decays, at, decay)
                store(h, at + states * width, decay * load(h, at) + inputs * B[t * states + s])


@compiled(fastmath={"contract"})
def backward(
    g_y: Floats, u: Floats, delta: Floats, A: Floats, B: Floats, C: Floats, D: Floats, kept: Floats, low: int,
    high: int, g_u: Floats, g_delta: Floats, g_A: Floats, g_B: Floats, g_C: Floats, g_D: Floats,
) -> None:  # fmt: skip
    """Gradients of the channels low to high of one sequence, arrays as in `forward`.

    g_A (n×d, of A in its own unit) and g_D (d), float64, add up; g_B and g_C (L×n) are these channels' share.
    """
    channels = D.shape[0]
    states, width = A.shape[0] // channels, high - low
    tokens, size = u.shape[0] // channels, states * width
    h, decays = np.empty((CHUNK + 1) * size, np.float32), np.empty(CHUNK * size, np.float32)
    g_h, g_chunk, g_direct = np.zeros(size, np.float32), np.empty(size, np.float32), np.empty(width, np.float32)
    sums_B, sums_C = np.empty(states * LANES, np.float32), np.empty(states * LANES, np.float32)
    for chunk in range((tokens - 1) // CHUNK, -1, -1):
        first = chunk * CHUNK
        count = min(CHUNK, tokens - first)
        for s in range(states):
            place = (chunk * states + s) * channels
            h[s * width : (s + 1) * width] = kept[place + low : place + high]
        _replay(u, delta, A, B, channels, first, count, low, high, h, decays)
        g_chunk[:] = np.float32(0.0)
        g_direct[:] = np.float32(0.0)
        for k in range(count - 1, -1, -1):
            t = first + k
            sums_B[:] = np.float32(0.0)
            sums_C[:] = np.float32(0.0)
            for j in range(0, width, LANES):
                place = t * channels + low + j
                step, x, given = load(delta, place), load(u, place), load(g_y, place)
                inputs = step * x
                g_inputs, g_steps = splat(np.float32(0.0)), splat(np.float32(0.0))
                for s in range(states):
                    own, at = s * width + j, k * size + s * width + j
                    g = load(g_h, own) + given * C[t * states + s]
                    store(sums_C, s * LANES, load(sums_C, s * LANES) + given * load(h, at + size))
                    store(sums_B, s * LANES, load(sums_B, s * LANES) + g * inputs)
                    g_inputs = g_inputs + g * B[t * states + s]
                    before = g * load(decays, at)
                    store(g_h, own, before)
                    g_exponent = before * load(h, at)
                    store(g_chunk, own, load(g_chunk, own) + g_exponent * step)
                    g_steps = g_steps + g_exponent * load(A, s * channels + low + j)
                store(g_direct, j, load(g_direct, j) + given * x)
                store(g_u, place, g_inputs * step + load(D, low + j) * given)
                store(g_delta, place, g_inputs * x + g_steps * np.float32(math.log(2)))
            for s in range(states):
                g_B[t * states + s], g_C[t * states + s] = (
                    total(load(sums_B, s * LANES)),
                    total(load(sums_C, s * LANES)),
                )
        for j in range(width):
            g_D[low + j] += g_direct[j]
        for s in range(states):
            for j in range(width):
                g_A[s * channels + low + j] += g_chunk[s * width + j]
