"""The flow whose map after unit time is a step of gradient descent.

Gradient descent is a map, x_{t+1} = x_t + f(x_t), f(x) = -eta grad(x). Along a trajectory that is
smooth in t, with E = exp(d/dt) the shift by one step and Delta = E - 1 the forward difference,

    d/dt = log(1 + Delta) = Delta - Delta^2 / 2 + Delta^3 / 3 - ...,

so that F(x) = Delta x - Delta^2 x / 2 + Delta^3 x / 3 - Delta^4 x / 4, made of the iterates that
begin at x, is the velocity with which gradient descent itself moves, not gradient flow: to
integrate F is to take the steps. Left out is Delta^5 x / 5. Of a part that moves at a rate e a step
Delta^k x is of order e^k.

A part that contracts by 1 - a a step gets -(a + a^2/2 + a^3/3 + a^4/4) in place of log(1 - a): it
still decays, wherever it is below the stability limit a < 2. So F is right once what is fast has
settled, and follows what is slow; until then real steps are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp

Vector = Float[Array, " N"]
# Parameters with what is kept beside them: z of `rules.py`.
State = Float[Array, " Z"]
Move = Callable[[Vector], Vector]

# Terms of the logarithm, each for a gradient.
TERMS = 4


def weights_of(terms: int) -> Float[Array, " p"]:
    """Return the factors (-1)^(k+1) / k of Delta^k x, zero beyond `terms`."""
    return jnp.asarray(
        [(-1.0) ** (k + 1) / k if k <= terms else 0.0 for k in range(1, TERMS + 1)], jnp.float64
    )


def flow(move: Move, point: Vector, weights: Float[Array, " p"]) -> tuple[Vector, Vector]:
    """Return F(x), and Delta^4 x / 4: the last term, or the first that is left out.

    The differences are those of the moves, not of the iterates: beside them x is rounded.

    Args:
        move: f, what a step adds.
        point: x.
        weights: See `weights_of`.
    """
    moves = []
    for _ in range(TERMS):
        moves.append(move(point))
        point = point + moves[-1]
    velocity = weights[0] * moves[0]
    for k in range(1, TERMS):
        moves = [after - before for before, after in pairwise(moves)]
        velocity = velocity + weights[k] * moves[0]
    return velocity, moves[0] / TERMS


def logarithm(rate: Float[Array, "..."], weights: Float[Array, " p"]) -> Float[Array, "..."]:
    """Return a + a^2/2 + ...: the rate at which F lets a part decay that a step takes by 1 - a."""
    total, power = jnp.zeros_like(rate), jnp.ones_like(rate)
    for k in range(TERMS):
        power = power * rate
        total = total + jnp.abs(weights[k]) * power
    return total
