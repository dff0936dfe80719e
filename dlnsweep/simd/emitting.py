"""Emitting LLVM's loops over vectors of eight numbers, with many sums under way in registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dlnsweep.simd.llvm import ir

# Rows are padded to so many numbers.
VECTOR = 8


class Emitter:
    """Emits loops, and what they do to vectors.

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

    def at(self, base: Any, *offsets: Any) -> Any:
        """Return where a number lies, so many numbers after a base."""
        b = self.builder
        pointer = b.inttoptr(base, self.number.as_pointer())
        for offset in offsets:
            pointer = b.gep(pointer, [offset])
        return pointer

    def load(self, pointer: Any) -> Any:
        """Return the vector that lies there."""
        b = self.builder
        return b.load(b.bitcast(pointer, self.vector.as_pointer()), align=8)

    def store(self, value: Any, pointer: Any) -> None:
        """Put a vector there."""
        b = self.builder
        b.store(value, b.bitcast(pointer, self.vector.as_pointer()), align=8)

    def spread(self, pointer: Any) -> Any:
        """Return a vector of one number in memory."""
        b, lane = self.builder, ir.IntType(32)
        single = b.insert_element(ir.Constant(self.vector, None), b.load(pointer), lane(0))
        places = ir.Constant(ir.VectorType(lane, VECTOR), [0] * VECTOR)
        return b.shuffle_vector(single, single, places)

    def add(self, a: Any, x: Any, y: Any) -> Any:
        """Return a + x y."""
        return self.builder.call(self._fma, [x, y, a])

    def zeros(self) -> Any:
        """Return a vector of zeros."""
        return ir.Constant(self.vector, [0.0] * VECTOR)

    def blocked(self, count: Any, sizes: tuple[int, ...], body: Callable[[Any, int], None]) -> None:
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

    def transposed(self, vectors: list[Any]) -> list[Any]:
        """Return the columns of eight rows: bit by bit, rows and places exchange numbers."""
        b, kind = self.builder, ir.VectorType(ir.IntType(32), VECTOR)
        rows, size = list(vectors), 1
        while size < VECTOR:
            low = [VECTOR + p - size if p & size else p for p in range(VECTOR)]
            high = [VECTOR + p if p & size else p + size for p in range(VECTOR)]
            for i in (i for i in range(VECTOR) if not i & size):
                pair = rows[i], rows[i + size]
                rows[i] = b.shuffle_vector(*pair, ir.Constant(kind, low))
                rows[i + size] = b.shuffle_vector(*pair, ir.Constant(kind, high))
            size *= 2
        return rows

    def summed_together(self, vectors: list[Any]) -> Any:
        """Return the sums of four vectors, each as `summed` adds it up."""
        first, second, third, last = vectors
        left, right = self._halved(first, second, 4), self._halved(third, last, 4)
        quarters = self._halved(left, right, 2)
        return self._halved(quarters, quarters, 1, VECTOR)

    def _halved(self, one: Any, other: Any, size: int, count: int = 2 * VECTOR) -> Any:
        """Return two vectors' parts of twice so many numbers, added to so many each."""
        b, lane = self.builder, ir.IntType(32)
        lower = [i for i in range(count) if i // size % 2 == 0]
        kind = ir.VectorType(lane, len(lower))
        parts = [
            b.shuffle_vector(one, other, ir.Constant(kind, [i + more for i in lower]))
            for more in (0, size)
        ]
        return b.fadd(*parts)

    def summed(self, vector: Any) -> Any:
        """Return the sum of a vector's numbers."""
        b, lane = self.builder, ir.IntType(32)
        parts = [b.extract_element(vector, lane(i)) for i in range(VECTOR)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [b.fadd(parts[i], parts[half + i]) for i in range(half)]
        return parts[0]
