"""Indices of arrays in loops: a number, and multiples of what the loops around it count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dlnsweep.simd.llvm import ir


@dataclass(frozen=True)
class Index:
    """constant + sum_k factor_k counter_k.

    Attributes:
        constant: The number.
        terms: The counters of loops (int64), each with its factor.
    """

    constant: int = 0
    terms: tuple[tuple[Any, int], ...] = ()

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.constant + other, self.terms)
        factors = dict(self.terms)
        for counter, factor in other.terms:
            factors[counter] = factors.get(counter, 0) + factor
        return Index(self.constant + other.constant, tuple(factors.items()))

    def __mul__(self, factor: int) -> Index:
        terms = ((counter, each * factor) for counter, each in self.terms)
        return Index(self.constant * factor, tuple(terms) if factor else ())

    def value(self, builder: Any, constant: bool = True) -> Any:
        """Return it as a number of LLVM's, or without the constant; None where nothing is left."""
        kind, total = ir.IntType(64), None
        for counter, factor in self.terms:
            part = counter if factor == 1 else builder.mul(counter, ir.Constant(kind, factor))
            total = part if total is None else builder.add(total, part)
        if not constant:
            return total
        number = ir.Constant(kind, self.constant)
        return number if total is None else builder.add(total, number)


ZERO = Index()


def loop(
    builder: Any,
    count: int,
    body: Callable[[Index, list[Any]], Sequence[Any]],
    carried: Sequence[Any] = (),
    unrolled: bool = False,
) -> list[Any]:
    """Emit a loop.

    Args:
        builder: LLVM's builder; it ends behind the loop.
        count: How often the body is carried out; at least once.
        body: Emits it, of how often it has been, and of what it has made; returns what it makes.
        carried: What it is given at first.
        unrolled: Whether it is emitted as often.

    Returns:
        What it has made at last.
    """
    if unrolled or count == 1:
        made = list(carried)
        for number in range(count):
            made = list(body(Index(number), list(made)))
        return made
    kind, before = ir.IntType(64), builder.block
    inside = builder.append_basic_block("again")
    builder.branch(inside)
    builder.position_at_end(inside)
    counter = builder.phi(kind)
    counter.add_incoming(ir.Constant(kind, 0), before)
    given = []
    for value in carried:
        given.append(builder.phi(value.type))
        given[-1].add_incoming(value, before)
    made = list(body(Index(0, ((counter, 1),)), list(given)))
    following = builder.add(counter, ir.Constant(kind, 1))
    last = builder.block
    counter.add_incoming(following, last)
    for phi, value in zip(given, made, strict=True):
        phi.add_incoming(value, last)
    after = builder.append_basic_block("after")
    more = builder.icmp_signed("<", following, ir.Constant(kind, count))
    builder.cbranch(more, inside, after)
    builder.position_at_end(after)
    return made


def strides(
    builder: Any,
    count: int,
    width: int,
    body: Callable[[Index, int, list[Any]], Sequence[Any]],
    carried: Sequence[Any] = (),
    unrolled: bool = False,
) -> list[Any]:
    """Emit a loop that takes `width` of `count` at a time, and behind it those that are left.

    Args:
        builder: LLVM's builder.
        count: How many there are.
        width: How many at a time.
        body: Emits one time, of the first one's index, their number, and what was made before.
        carried: What it is given at first.
        unrolled: Whether it is emitted as often.
    """
    whole, rest = divmod(count, width)
    made = list(carried)
    if whole:
        made = loop(builder, whole, lambda i, given: body(i * width, width, given), made, unrolled)
    if rest:
        made = list(body(Index(whole * width), rest, made))
    return made
