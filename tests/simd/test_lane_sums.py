"""Sums of the lanes of vectors: neighbours first, of as many vectors as stand together."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.machine import Machine, new_module
from dlnsweep.simd.samples.tiles import added


def sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of the rows by machine code."""
    count, lanes = values.shape
    module, address = new_module("sums"), ir.PointerType()
    kind = ir.FunctionType(ir.VoidType(), [address, address])
    builder = ir.IRBuilder(ir.Function(module, kind, "sums").append_basic_block())
    emit = Emitter(builder, lanes)
    given, target = builder.function.args

    def at(base: Any, row: int) -> Any:
        number = ir.Constant(ir.IntType(64), row * lanes)
        return builder.gep(base, [number], source_etype=emit.element(values.dtype))

    vectors = []
    for row in range(count):
        vectors.append(builder.load(at(given, row), typ=emit.kind(values.dtype)))
        vectors[-1].align = values.itemsize
    stored: Any = builder.store(added(emit, vectors), target)
    stored.align = values.itemsize
    builder.ret_void()
    machine = Machine(module)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(machine.address("sums"))
    found = np.full(count, np.nan, values.dtype)
    call(values.ctypes.data, found.ctypes.data)
    return found


def by_neighbours(values: np.ndarray) -> np.ndarray:
    while values.shape[1] > 1:
        values = values[:, ::2] + values[:, 1::2]
    return values[:, 0]


SIZES = [(count, lanes) for lanes in (2, 4, 8, 16) for count in (1, 2, 4, 8) if count <= lanes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "lanes"), SIZES)
def test_lanes_are_summed_neighbours_first_to_the_bit(count: int, lanes: int, dtype: str):
    values = np.random.default_rng(count).normal(size=(count, lanes)).astype(dtype)
    values *= np.logspace(-6, 6, lanes).astype(dtype)
    np.testing.assert_array_equal(sums(values), by_neighbours(values))
