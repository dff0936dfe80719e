"""Machine code for lists of operations on small matrices, whose sizes are known when they are run.

What calls a library for each product of small matrices waits more for the calls than for the
products. Here a list of operations is a table of numbers (kinds, sizes, addresses), each of which
may grow from one round to the next, and one call runs all rounds. Matrices are float64, and have
rows of whole vectors of eight: what is beyond their own size is zeros, and stays so.

Sums are made in one order, whatever the processor: an entry of a product term after term, and a
scalar product in eight sums, which are added at its end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from dlnsweep.simd.llvm import instruction_set, ir
from dlnsweep.simd.machine import Machine, new_module

# Rows are padded to so many numbers.
VECTOR = 8
_ROWS = 4


class Kind(IntEnum):
    """What an operation does; `s` is where numbers lie.

    PRODUCT: C = A B.
    UPDATE: C = s C + A B.
    DOTS: C = A B^T, with column t times s_t; A and B of n columns, m rows of B.
    SCALE: C = s A; row i by the number n i places further.
    ACROSS: C = A with column t times s_t.
    RESIDUAL: C = s (A - B), and the sum of squares of A - B where the column stride points.
    MIXED: C = s A + B with column t times what lies at the column stride.
    TURNED: The same with the transpose of B.
    """

    PRODUCT = 0
    UPDATE = 1
    DOTS = 2
    SCALE = 3
    ACROSS = 4
    RESIDUAL = 5
    MIXED = 6
    TURNED = 7


# The columns of a table; each has what it is at first, and what a round adds. Of A entry (i, t)
# lies at a + 8 (i a_row + t a_column), of B and C rows do; addresses are in bytes.
FIELDS = ("kind", "rows", "n", "m", "a", "a_row", "a_column", "b", "b_row", "c", "c_row", "s")


def operation(kind: Kind, **fields: int | tuple[int, int]) -> list[int]:
    """Return a row of a table.

    Args:
        kind: What it does.
        fields: See `FIELDS`; where a round adds something, also what.
    """
    found: list[int] = []
    for name in FIELDS:
        value = int(kind) if name == "kind" else fields.get(name, 0)
        found += value if isinstance(value, tuple) else (value, 0)
    return found


def run(table: np.ndarray, rounds: int) -> None:
    """Run the operations of a table, (operations, 2 fields) of int64, so many times."""
    _code()(table.ctypes.data, len(table), rounds)


@cache
def _code() -> Callable[[int, int, int], None]:
    machine = Machine(_module())
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    function = kind(machine.address("run"))

    def call(table: int, count: int, rounds: int) -> None:
        function(table, count, rounds)

    # The code lives as long as the machine does.
    call.machine = machine  # type: ignore[attr-defined]
    return call


def _module() -> Any:
    module = new_module("products")
    word = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 3), "run")
    emit = _Emitter(module, ir.IRBuilder(function.append_basic_block()))
    table, count, rounds = function.args
    width = 2 * len(FIELDS)

    def one_round(number: Any, _: Any) -> list[Any]:
        def one(place: Any, _: Any) -> list[Any]:
            b = emit.builder
            row = b.inttoptr(b.add(table, b.mul(place, word(8 * width))), word.as_pointer())
            fields = {}
            for i, name in enumerate(FIELDS):
                first, more = (b.load(b.gep(row, [word(2 * i + k)])) for k in range(2))
                fields[name] = b.add(first, b.mul(number, more))
            emit.chosen(fields)
            return []

        emit.loop(count, one)
        return []

    emit.loop(rounds, one_round)
    emit.builder.ret_void()
    return module


class _Emitter:
    """Emits what operations do.

    Args:
        module: LLVM's module.
        builder: Its builder.
    """

    def __init__(self, module: Any, builder: Any) -> None:
        self.builder = builder
        self.word, self.number = ir.IntType(64), ir.DoubleType()
        self.vector = ir.VectorType(self.number, VECTOR)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self._fma = ir.Function(module, kind, f"llvm.fma.v{VECTOR}f64")

    def loop(
        self,
        stop: Any,
        body: Callable[[Any, list[Any]], Sequence[Any]],
        carried: Sequence[Any] = (),
        start: Any = None,
        step: int = 1,
    ) -> list[Any]:
        """Emit a loop; return what it carries at its end."""
        b, word = self.builder, self.word
        before = b.block
        head, inside, after = (b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(word)
        index.add_incoming(word(0) if start is None else start, before)
        values = [b.phi(value.type) for value in carried]
        for phi, value in zip(values, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, stop), inside, after)
        b.position_at_end(inside)
        new = body(index, values)
        index.add_incoming(b.add(index, word(step)), b.block)
        for phi, value in zip(values, new, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return values

    def chosen(self, fields: dict[str, Any]) -> None:
        """Emit the operation that a row tells."""
        b = self.builder
        after = b.append_basic_block()
        switch = b.switch(fields["kind"], after)
        for kind, emit in (
            (Kind.PRODUCT, self._product),
            (Kind.UPDATE, self._product),
            (Kind.DOTS, self._dots),
            (Kind.SCALE, self._elementwise),
            (Kind.ACROSS, self._elementwise),
            (Kind.RESIDUAL, self._elementwise),
            (Kind.MIXED, self._combined),
            (Kind.TURNED, self._combined),
        ):
            block = b.append_basic_block()
            switch.add_case(self.word(int(kind)), block)
            b.position_at_end(block)
            emit(kind, fields)
            b.branch(after)
        b.position_at_end(after)

    def _at(self, base: Any, *offsets: Any) -> Any:
        """Return where a number lies, so many numbers after a base."""
        b = self.builder
        pointer = b.inttoptr(base, self.number.as_pointer())
        for offset in offsets:
            pointer = b.gep(pointer, [offset])
        return pointer

    def _load(self, pointer: Any) -> Any:
        b = self.builder
        return b.load(b.bitcast(pointer, self.vector.as_pointer()), align=8)

    def _store(self, value: Any, pointer: Any) -> None:
        b = self.builder
        b.store(value, b.bitcast(pointer, self.vector.as_pointer()), align=8)

    def _spread(self, pointer: Any) -> Any:
        """Return a vector of one number in memory."""
        b, lane = self.builder, ir.IntType(32)
        single = b.insert_element(ir.Constant(self.vector, None), b.load(pointer), lane(0))
        places = ir.Constant(ir.VectorType(lane, VECTOR), [0] * VECTOR)
        return b.shuffle_vector(single, single, places)

    def _add(self, a: Any, x: Any, y: Any) -> Any:
        return self.builder.call(self._fma, [x, y, a])

    def _zeros(self) -> Any:
        return ir.Constant(self.vector, [0.0] * VECTOR)

    def _blocked(
        self, count: Any, sizes: tuple[int, ...], body: Callable[[Any, int], None]
    ) -> None:
        """Emit loops over blocks of these sizes, the largest first; the last is 1."""
        b, start = self.builder, self.word(0)
        for size in sizes:
            whole = b.mul(b.sdiv(b.sub(count, start), self.word(size)), self.word(size))
            stop = b.add(start, whole)

            def one(index: Any, _: Any, size: int = size) -> list[Any]:
                body(index, size)
                return []

            self.loop(stop, one, start=start, step=size)
            start = stop

    def _product(self, kind: Kind, fields: dict[str, Any]) -> None:
        b = self.builder
        # Four rows of so many vectors are under way: what fills the registers.
        wide = 4 if instruction_set() == "AVX-512" else 1
        vectors = b.sdiv(fields["m"], self.word(VECTOR))

        def columns(column: Any, width: int) -> None:
            first = b.mul(column, self.word(VECTOR))

            def rows(row: Any, height: int) -> None:
                self._block(kind, fields, row, height, first, width)

            self._blocked(fields["rows"], (_ROWS, 1), rows)

        self._blocked(vectors, (wide, 1) if wide > 1 else (1,), columns)

    def _block(
        self, kind: Kind, fields: dict[str, Any], row: Any, height: int, first: Any, width: int
    ) -> None:
        """Emit some rows and columns of a product."""
        b, word = self.builder, self.word
        rows = [b.add(row, word(i)) for i in range(height)]
        starts = [self._at(fields["a"], b.mul(i, fields["a_row"])) for i in rows]
        right = self._at(fields["b"], first)
        places = [
            b.gep(self._at(fields["c"], b.mul(i, fields["c_row"]), first), [word(VECTOR * k)])
            for i in rows
            for k in range(width)
        ]
        sums = [self._zeros() for _ in places]
        if kind is Kind.UPDATE:
            share = self._spread(self._at(fields["s"]))
            sums = [b.fmul(share, self._load(place)) for place in places]

        def term(number: Any, sums: list[Any]) -> list[Any]:
            own = b.gep(right, [b.mul(number, fields["b_row"])])
            vectors = [self._load(b.gep(own, [word(VECTOR * k)])) for k in range(width)]
            step = b.mul(number, fields["a_column"])
            found = []
            for i, start in enumerate(starts):
                left = self._spread(b.gep(start, [step]))
                for k, vector in enumerate(vectors):
                    found.append(self._add(sums[i * width + k], left, vector))
            return found

        for total, place in zip(self.loop(fields["n"], term, sums), places, strict=True):
            self._store(total, place)

    def _dots(self, _: Kind, fields: dict[str, Any]) -> None:
        b, word = self.builder, self.word

        def rows(row: Any, height: int) -> None:
            numbers = [b.add(row, word(i)) for i in range(height)]
            lefts = [self._at(fields["a"], b.mul(i, fields["a_row"])) for i in numbers]
            targets = [self._at(fields["c"], b.mul(i, fields["c_row"])) for i in numbers]

            def one(place: Any, _: Any) -> list[Any]:
                right = self._at(fields["b"], b.mul(place, fields["b_row"]))

                def term(number: Any, sums: list[Any]) -> list[Any]:
                    vector = self._load(b.gep(right, [number]))
                    return [
                        self._add(total, self._load(b.gep(left, [number])), vector)
                        for total, left in zip(sums, lefts, strict=True)
                    ]

                sums = self.loop(fields["n"], term, [self._zeros()] * height, step=VECTOR)
                share = b.load(self._at(fields["s"], place))
                for total, target in zip(sums, targets, strict=True):
                    b.store(b.fmul(share, self._summed(total)), b.gep(target, [place]))
                return []

            self.loop(fields["m"], one)

        self._blocked(fields["rows"], (_ROWS, 1), rows)

    def _summed(self, vector: Any) -> Any:
        b, lane = self.builder, ir.IntType(32)
        parts = [b.extract_element(vector, lane(i)) for i in range(VECTOR)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [b.fadd(parts[i], parts[half + i]) for i in range(half)]
        return parts[0]

    def _elementwise(self, kind: Kind, fields: dict[str, Any]) -> None:
        b = self.builder

        def rows(row: Any, squares: list[Any]) -> list[Any]:
            own = self._at(fields["a"], b.mul(row, fields["a_row"]))
            target = self._at(fields["c"], b.mul(row, fields["c_row"]))

            def some(place: Any, squares: list[Any]) -> list[Any]:
                value = self._load(b.gep(own, [place]))
                if kind is Kind.ACROSS:
                    factor = self._load(self._at(fields["s"], place))
                else:
                    factor = self._spread(self._at(fields["s"], b.mul(row, fields["n"])))
                if kind is Kind.RESIDUAL:
                    other = self._at(fields["b"], b.mul(row, fields["b_row"]))
                    value = b.fsub(value, self._load(b.gep(other, [place])))
                    squares = [self._add(squares[0], value, value)]
                self._store(b.fmul(factor, value), b.gep(target, [place]))
                return squares

            return self.loop(fields["m"], some, squares, step=VECTOR)

        begun = [self._zeros()] if kind is Kind.RESIDUAL else []
        for total in self.loop(fields["rows"], rows, begun):
            b.store(self._summed(total), self._at(fields["a_column"]))

    def _combined(self, kind: Kind, fields: dict[str, Any]) -> None:
        b = self.builder
        share = self._spread(self._at(fields["s"]))

        def rows(row: Any, _: Any) -> list[Any]:
            own = self._at(fields["a"], b.mul(row, fields["a_row"]))
            target = self._at(fields["c"], b.mul(row, fields["c_row"]))

            def some(place: Any, _: Any) -> list[Any]:
                if kind is Kind.MIXED:
                    other = self._load(self._at(fields["b"], b.mul(row, fields["b_row"]), place))
                else:
                    other = self._column(fields, row, place)
                factor = self._load(self._at(fields["a_column"], place))
                value = b.fmul(share, self._load(b.gep(own, [place])))
                self._store(self._add(value, factor, other), b.gep(target, [place]))
                return []

            return self.loop(fields["m"], some, step=VECTOR)

        self.loop(fields["rows"], rows)

    def _column(self, fields: dict[str, Any], column: Any, first: Any) -> Any:
        """Return a vector of one column of B, from a row on."""
        b, lane = self.builder, ir.IntType(32)
        made = ir.Constant(self.vector, None)
        for k in range(VECTOR):
            row = b.mul(b.add(first, self.word(k)), fields["b_row"])
            number = b.load(self._at(fields["b"], row, column))
            made = b.insert_element(made, number, lane(k))
        return made
