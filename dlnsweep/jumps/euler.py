"""Euler steps along a flow with a fast part: the rows of `extrapolation.py`.

A plain jump has one fast part, that at its beginning: row n is n steps y <- y + Phi(k) F(y), with
k = h / n and Phi of `fast.py`. While weights decay the span of the true fast part turns away from
it by h eta lambda; with rates a of it, such steps converge while a h (h eta lambda)^2 is small.

A jump that follows the fast part as it turns is bound by what is slow alone. Its steps are

    p = y + B(k) F(y),                  beside the span: outputs are what they were, to first order,
    y <- w,  w = p + k V^T V F(w),      within it: by two iterations of Newton from w = p,
    w <- w + V^T (1 + k fast)^{-1} V (p - w + k F(w)),

with B(k) the part of Phi(k) beside the span, and V, fast anew at each p. A step beside the span
leaves outputs wrong by its square s^2, which is much beside a residual of size lambda. F there has
a part beside the span of size s^4, since its iterates move by s^2 and the span turns: wrong unless
s^4 < lambda, so that jumps of linearly implicit steps shrink as lambda^(1/4), with V anew in each,
too. By two iterations the outputs become what the slow part makes of them, to s^8, before F is
asked what it is beside the span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.jumps.flow import TERMS, State
from dlnsweep.jumps.rules import Rule
from dlnsweep.numerics.lazy import jnp, lax

_ITERATIONS = 2


def euler(
    rule: Rule,
    velocity_of: Callable[[State], State],
    fast_part_at: Callable[[State], Any],
    point: State,
    velocity: State,
    fast: Any,
    length: Float[Array, ""],
    follows: Bool[Array, ""],
) -> Callable[[Int[Array, ""]], State]:
    """Return what takes n and returns what n steps add to the point.

    What is rounded off increments is less than what is rounded off points.

    Args:
        rule: How steps are made of gradients.
        velocity_of: F in y.
        fast_part_at: The fast part in y.
        point: y at the beginning.
        velocity: F there.
        fast: The fast part there.
        length: h.
        follows: Whether the fast part is followed, if the rule can.
    """

    def plain(n: Int[Array, ""]) -> State:
        carried = rule.carrier(fast, length / n)

        def once(_: Int[Array, ""], y: State) -> State:
            return y + carried(velocity_of(point + y))

        return lax.fori_loop(1, n, once, carried(velocity))

    def following(n: Int[Array, ""]) -> State:
        k = length / n

        def once(i: Int[Array, ""], state: tuple[State, Any]) -> tuple[State, Any]:
            y, here = state
            speed = lax.cond(i == 0, lambda _: velocity, lambda y: velocity_of(point + y), y)
            start = y + rule.beside(here, k)(speed)
            here = fast_part_at(point + start)
            within = rule.within(here, k)

            def newton(_: Int[Array, ""], w: State) -> State:
                return w + within(velocity_of(point + w) + (start - w) / k)

            return lax.fori_loop(0, _ITERATIONS, newton, start), here

        return lax.fori_loop(0, n, once, (jnp.zeros_like(point), fast))[0]

    if not rule.follows:
        return plain
    return lambda n: lax.cond(follows, following, plain, n)


def dearer(outputs: int, rows: int) -> float:
    """Return what a jump that follows the fast part costs over a plain one, by gradients.

    Args:
        outputs: K: the derivatives of each output cost a gradient.
        rows: Those of the table.
    """
    steps = rows * (rows + 1) // 2
    each = TERMS * (1 + _ITERATIONS) + outputs
    return steps * each / (TERMS * steps + outputs)
