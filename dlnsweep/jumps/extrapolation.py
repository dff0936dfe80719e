"""One jump: Euler steps, extrapolated.

Row n of the table divides the jump of length h into n steps of `euler.py` and extrapolates with
the rows before by the harmonic sequence (Aitken and Neville),

    T[n, q+1] = T[n, q] + (T[n, q] - T[n-1, q]) / (n / (n - q) - 1),

so that T[n, n] has order n (Deuflhard 1985, SIAM Review 27, section 2; Hairer and Wanner, Solving
Ordinary Differential Equations II, IV.9, for the linearly implicit Euler step).
The error of a row is that of T[n, n-1], by its difference from T[n, n]; rows are added until it is
small enough, so the order is what the jump needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.jumps.flow import Vector
from dlnsweep.numerics.lazy import jnp, lax

Table = Float[Array, "R N"]

# Rows of the table: the highest order.
ROWS = 9
# The rows that a jump is to take, and how much longer the next one is for each that it did not.
ROWS_WANTED, _GROWTH, _LONGEST = 7, 1.5, 5.0
# Of a jump that failed the next one is as long as the best of its rows allows, and no shorter.
_SAFETY, _SHORTEST = 0.8, 0.1


class Jump(NamedTuple):
    """A jump as tried.

    Attributes:
        point: Where it ends.
        accepted: Whether its error is small enough.
        following: The length of the next one, by its errors.
        rows: How many it took.
    """

    point: Vector
    accepted: Bool[Array, ""]
    following: Float[Array, ""]
    rows: Int[Array, ""]


def jump(
    euler: Callable[[Int[Array, ""]], Vector],
    error_of: Callable[[Vector], Float[Array, ""]],
    point: Vector,
    length: Float[Array, ""],
) -> Jump:
    """Try a jump.

    Args:
        euler: Takes n; returns what n Euler steps of length h / n add to the point (`euler.py`).
        error_of: Takes a difference; returns its size over what is allowed.
        point: y.
        length: h.
    """

    def unfinished(state: tuple[Array, ...]) -> Bool[Array, ""]:
        n, _, error, before, _ = state
        # From the sixth row on an error that does not shrink will not.
        hopeless = (n > 6) & ~(error < before)
        # Two rows can be near each other by chance.
        done = (error <= 1) & (n > 3)
        return (n <= ROWS) & ~done & ~hopeless

    def row(state: tuple[Array, ...]) -> tuple[Array, ...]:
        n, table, error, _, wanted = state

        def neville(q: Int[Array, ""], values: tuple[Vector, Table]) -> tuple[Vector, Table]:
            entry, table = values
            ratio = n / (n - q) - 1
            return entry + (entry - table[q - 1]) / ratio, table.at[q - 1].set(entry)

        last, table = lax.fori_loop(1, n, neville, (euler(n), table))
        found = jnp.where(n > 1, error_of(last - table[n - 2]), jnp.inf)
        # The error of row n is of order h^n.
        factor = _SAFETY * jnp.maximum(found, 1e-30) ** (-1.0 / n)
        longer = length * jnp.where(jnp.isfinite(found), factor, 0.0)
        return n + 1, table.at[n - 1].set(last), found, error, jnp.maximum(wanted, longer)

    infinite = jnp.asarray(jnp.inf, point.dtype)
    table = jnp.zeros((ROWS, point.shape[0]), point.dtype)
    start = (jnp.ones((), jnp.int64), table, infinite, infinite, _SHORTEST * length)
    n, table, error, _, wanted = lax.while_loop(unfinished, row, start)
    accepted, rows = error <= 1, n - 1
    # Accepted with few rows, a jump was too short for what the derivatives cost.
    grown = length * jnp.minimum(_GROWTH ** (ROWS_WANTED - rows), _LONGEST)
    following = jnp.where(accepted, grown, jnp.minimum(wanted, 0.6 * length))
    return Jump(point + table[rows - 1], accepted, following, rows)
