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
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np

from dlnsweep.simd.emitting import VECTOR, Emitter
from dlnsweep.simd.llvm import instruction_set, ir
from dlnsweep.simd.machine import Machine, new_module

# Rows and vectors that are under way together, where registers are few and where they are many.
_ROWS = 4
_MANY = ((8, (3, 2, 1)), (4, (4, 2, 1)), (2, (8, 4, 2, 1)), (1, (8, 4, 2, 1)))


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
    ready(table)(rounds)


def ready(table: np.ndarray) -> Callable[[int], None]:
    """Return what runs a table's operations so many times, for tables that are run often.

    Args:
        table: See `run`; it may change between calls, but not move.
    """
    code, address, count = _code(), table.ctypes.data, len(table)

    def call(rounds: int) -> None:
        code(address, count, rounds)

    call.table = table  # type: ignore[attr-defined]
    return call


@cache
def _code() -> Callable[[int, int, int], None]:
    machine = Machine(_module())
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    function = kind(machine.address("run"))
    # The code lives as long as the machine does.
    function.machine = machine  # type: ignore[attr-defined]
    return function


def _module() -> Any:
    module = new_module("products")
    word = ir.IntType(64)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 3), "run")
    emit = _Operations(module, ir.IRBuilder(function.append_basic_block()))
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


def _tiles() -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return of how many rows how many vectors of a product are under way, one after the other.

    As many as there are registers for: of all rows at once, so that a matrix is read once.
    """
    if instruction_set() == "AVX-512":
        return _MANY
    return ((_ROWS, (1,)), (1, (1,)))


class _Operations(Emitter):
    """Emits what operations do."""

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
            (Kind.MIXED, self._mixed),
            (Kind.TURNED, self._turned),
        ):
            block = b.append_basic_block()
            switch.add_case(self.word(int(kind)), block)
            b.position_at_end(block)
            emit(kind, fields)
            b.branch(after)
        b.position_at_end(after)

    def _product(self, kind: Kind, fields: dict[str, Any]) -> None:
        b, start = self.builder, self.word(0)
        vectors = b.sdiv(fields["m"], self.word(VECTOR))
        for height, widths in _tiles():
            whole = b.sdiv(b.sub(fields["rows"], start), self.word(height))
            stop = b.add(start, b.mul(whole, self.word(height)))

            def columns(
                column: Any, width: int, height: int = height, start: Any = start, stop: Any = stop
            ) -> None:
                first = b.mul(column, self.word(VECTOR))

                def rows(row: Any, _: Any) -> list[Any]:
                    self._block(kind, fields, row, height, first, width)
                    return []

                self.loop(stop, rows, start=start, step=height)

            some = b.icmp_signed("<", start, stop)
            self.blocked(b.select(some, vectors, self.word(0)), widths, columns)
            start = stop

    def _block(
        self, kind: Kind, fields: dict[str, Any], row: Any, height: int, first: Any, width: int
    ) -> None:
        """Emit some rows and columns of a product."""
        b, word = self.builder, self.word
        rows = [b.add(row, word(i)) for i in range(height)]
        starts = [self.at(fields["a"], b.mul(i, fields["a_row"])) for i in rows]
        right = self.at(fields["b"], first)
        places = [
            b.gep(self.at(fields["c"], b.mul(i, fields["c_row"]), first), [word(VECTOR * k)])
            for i in rows
            for k in range(width)
        ]
        sums = [self.zeros() for _ in places]
        if kind is Kind.UPDATE:
            share = self.spread(self.at(fields["s"]))
            sums = [b.fmul(share, self.load(place)) for place in places]

        def term(number: Any, sums: list[Any]) -> list[Any]:
            own = b.gep(right, [b.mul(number, fields["b_row"])])
            vectors = [self.load(b.gep(own, [word(VECTOR * k)])) for k in range(width)]
            step = b.mul(number, fields["a_column"])
            found = []
            for i, start in enumerate(starts):
                left = self.spread(b.gep(start, [step]))
                for k, vector in enumerate(vectors):
                    found.append(self.add(sums[i * width + k], left, vector))
            return found

        for total, place in zip(self.loop(fields["n"], term, sums), places, strict=True):
            self.store(total, place)

    def _dots(self, _: Kind, fields: dict[str, Any]) -> None:
        # Four rows of A and four of B are under way where there are registers for their sums.
        together = (4, 1) if instruction_set() == "AVX-512" else (1,)

        def rows(row: Any, height: int) -> None:
            def places(place: Any, width: int) -> None:
                self._dots_of(fields, row, height, place, width)

            self.blocked(fields["m"], together, places)

        self.blocked(fields["rows"], (_ROWS, 2, 1), rows)

    def _dots_of(
        self, fields: dict[str, Any], row: Any, height: int, place: Any, width: int
    ) -> None:
        """Emit the scalar products of some rows of A with some of B."""
        b, word = self.builder, self.word
        numbers = [b.add(row, word(i)) for i in range(height)]
        lefts = [self.at(fields["a"], b.mul(i, fields["a_row"])) for i in numbers]
        targets = [self.at(fields["c"], b.mul(i, fields["c_row"]), place) for i in numbers]
        rights = [
            self.at(fields["b"], b.mul(b.add(place, word(k)), fields["b_row"]))
            for k in range(width)
        ]

        def term(number: Any, sums: list[Any]) -> list[Any]:
            vectors = [self.load(b.gep(right, [number])) for right in rights]
            found = []
            for i, left in enumerate(lefts):
                value = self.load(b.gep(left, [number]))
                for k, vector in enumerate(vectors):
                    found.append(self.add(sums[i * width + k], value, vector))
            return found

        begun = [self.zeros()] * (height * width)
        sums = self.loop(fields["n"], term, begun, step=VECTOR)
        share = self.at(fields["s"], place)
        some = ir.VectorType(self.number, width).as_pointer()
        for i, target in enumerate(targets):
            own = sums[i * width : (i + 1) * width]
            if width == 1:
                b.store(b.fmul(b.load(share), self.summed(own[0])), target)
            else:
                factors = b.load(b.bitcast(share, some), align=8)
                made = b.fmul(factors, self.summed_together(own))
                b.store(made, b.bitcast(target, some), align=8)

    def _elementwise(self, kind: Kind, fields: dict[str, Any]) -> None:
        b = self.builder

        def rows(row: Any, squares: list[Any]) -> list[Any]:
            own = self.at(fields["a"], b.mul(row, fields["a_row"]))
            target = self.at(fields["c"], b.mul(row, fields["c_row"]))

            def some(place: Any, squares: list[Any]) -> list[Any]:
                value = self.load(b.gep(own, [place]))
                if kind is Kind.ACROSS:
                    factor = self.load(self.at(fields["s"], place))
                else:
                    factor = self.spread(self.at(fields["s"], b.mul(row, fields["n"])))
                if kind is Kind.RESIDUAL:
                    other = self.at(fields["b"], b.mul(row, fields["b_row"]))
                    value = b.fsub(value, self.load(b.gep(other, [place])))
                    squares = [self.add(squares[0], value, value)]
                self.store(b.fmul(factor, value), b.gep(target, [place]))
                return squares

            return self.loop(fields["m"], some, squares, step=VECTOR)

        begun = [self.zeros()] if kind is Kind.RESIDUAL else []
        for total in self.loop(fields["rows"], rows, begun):
            b.store(self.summed(total), self.at(fields["a_column"]))

    def _mixed(self, _: Kind, fields: dict[str, Any]) -> None:
        def rows(row: Any, _: Any) -> list[Any]:
            other = self.at(fields["b"], self.builder.mul(row, fields["b_row"]))

            def some(place: Any, _: Any) -> list[Any]:
                self._put(fields, row, place, self.load(self.builder.gep(other, [place])))
                return []

            return self.loop(fields["m"], some, step=VECTOR)

        self.loop(fields["rows"], rows)

    def _turned(self, _: Kind, fields: dict[str, Any]) -> None:
        b, word = self.builder, self.word

        def rows(row: Any, height: int) -> None:
            def some(place: Any, _: Any) -> list[Any]:
                for i, column in enumerate(self._columns(fields, row, place, height)):
                    self._put(fields, b.add(row, word(i)), place, column)
                return []

            self.loop(fields["m"], some, step=VECTOR)

        self.blocked(fields["rows"], (VECTOR, 1), rows)

    def _put(self, fields: dict[str, Any], row: Any, place: Any, other: Any) -> None:
        """Emit one vector of a sum of A and another matrix, each with its factor."""
        b = self.builder
        own = self.at(fields["a"], b.mul(row, fields["a_row"]), place)
        target = self.at(fields["c"], b.mul(row, fields["c_row"]), place)
        factor = self.load(self.at(fields["a_column"], place))
        value = b.fmul(self.spread(self.at(fields["s"])), self.load(own))
        self.store(self.add(value, factor, other), target)

    def _columns(self, fields: dict[str, Any], column: Any, first: Any, count: int) -> list[Any]:
        """Return a vector of each of some columns of B, from a row on; one or eight."""
        b, lane = self.builder, ir.IntType(32)
        places = [
            self.at(fields["b"], b.mul(b.add(first, self.word(k)), fields["b_row"]), column)
            for k in range(VECTOR)
        ]
        if count == VECTOR:
            return self.transposed([self.load(place) for place in places])
        made = ir.Constant(self.vector, None)
        for k, place in enumerate(places):
            made = b.insert_element(made, b.load(place), lane(k))
        return [made]
