"""Gaussian inputs of any dimension, by their coordinates: what problems share that draw them so.

Vectors with independent entries N(0, 1) are drawn by Bartlett's triangle (`numerics/streams.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

# Whole numbers up to here are exact in float64; inputs that are drawn are counted in 31 bits.
_MOST, _MOST_DRAWN = 10**15, 2**31 - 1

InputDimension = Annotated[int, Field(ge=1, le=_MOST)]
Inputs = Annotated[
    Literal["gaussian", "law"],
    Describe(
        "static",
        "law: the same in any number of dimensions, which are not drawn "
        '(sweep.kernel = "reduced_inputs", or "auto", which takes that)',
    ),
]
CONSTRAINTS = (
    Constraint(
        ("problem.inputs", "problem.measurement_dim"),
        lambda inputs, m: inputs == "law" or m <= _MOST_DRAWN,
        "problem.measurement_dim is {1}, and problem.inputs is {0}; inputs that are drawn may have "
        f'{_MOST_DRAWN} dimensions: take inputs = "law".',
    ),
    Constraint(
        ("problem.inputs", "problem.measurement_dim", "problem.num_samples"),
        lambda inputs, m, n: inputs != "law" or m > n,
        "problem.inputs is {0} and problem.measurement_dim is {1}; it must be more than "
        'problem.num_samples, {2}, or take inputs = "gaussian".',
    ),
)


def coordinates(key: Keys, size: Any, counts: Sequence[int]) -> list[Float[Array, "N _"]]:
    """Draw Gaussian vectors by their coordinates, in groups of so many, the first spanning first.

    Args:
        key: The run's PRNG key for a named purpose.
        size: m, a whole number, perhaps a tracer.
        counts: How many vectors each group has, N in all.
    """
    from dlnsweep.numerics.streams import bartlett

    total, size = sum(counts), jnp.asarray(size, jnp.float64)
    lower = bartlett(key("data/signals"), key("data/signals_chi"), total, size)
    # Of a space of fewer dimensions the last vectors of the basis do not exist.
    columns = jnp.where(jnp.arange(total)[:, None] < size, lower.T, 0.0)
    ends = [sum(counts[: i + 1]) for i in range(len(counts) - 1)]
    return jnp.split(columns, ends, axis=1)
