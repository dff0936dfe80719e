"""What a step keeps beside the parameters, and what follows for jumps: gradient descent, nothing.

With y the parameters over R^{1/2} (`fast.py`) and f(y) what a step of gradient descent adds to
them, a rule says which z is carried from step to step, what a step adds to it, and how the fast
part of its flow is carried along. `momentum.py` has the other rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float

from dlnsweep.jumps.fast import carried, carried_beside, carried_within, fast_part
from dlnsweep.jumps.flow import Move, State, Vector
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply

# The share of the limit of stability that curvature may reach.
STEEPEST = 0.975


@runtime_checkable
class Rule(Protocol):
    """How steps are made of gradients."""

    @property
    def limit(self) -> Any:
        """The limit of stability: what gradient descent may take away of a part, in one step."""

    @property
    def follows(self) -> bool:
        """Whether jumps may follow the fast part as it turns; see `euler.py`."""
        ...

    def begun(self, parameters: Vector) -> State:
        """Return z at step 0."""
        ...

    def parameters(self, state: State) -> Vector:
        """Return y of z."""
        ...

    def whole(self, entries: Vector) -> State:
        """Return factors of the entries of z, given those of y."""
        ...

    def move(self, descent: Move) -> Move:
        """Return what a step adds to z, given f."""
        ...

    def reached(self, difference: State) -> Sequence[Vector]:
        """Return what a difference of z makes of y, now and in the long run."""
        ...

    def along(self, derivatives: Any, difference: Vector) -> Float[Array, " K"]:
        """Return M times a difference of y."""
        ...

    def fast_part(self, derivatives: Any, decays: Vector, weights: Float[Array, " p"]) -> Any:
        """Return the fast part; see `fast.fast_part`."""

    def steepest(self, fast: Any) -> Vector:
        """Return the direction in y along which gradient descent takes away most."""
        ...

    def carrier(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return Phi(k) of `fast.py`, as a function of a velocity of z."""
        ...

    def within(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return the part of Phi(k) on the span, where the rule follows it."""
        ...

    def beside(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return the part of Phi(k) off the span, where the rule follows it."""
        ...

    def as_descent(self, length: Float[Array, ""]) -> Float[Array, ""]:
        """Return in how many steps of gradient descent a slow part moves as far as in so many."""
        ...

    def settler(self, fast: Any, length: Float[Array, ""]) -> Callable[[Vector], Vector]:
        """Return Phi(k) of gradient descent, as a function of f."""
        ...

    def holds(self, fast: Any, length: Float[Array, ""]) -> Bool[Array, ""]:
        """Return whether the fast part fades in a jump of that length, by the flow."""
        ...

    def swinging(self, fast: Any, velocity: State, left_out: State) -> Any:
        """Return what oscillates and fades slowly; None if nothing can.

        Args:
            fast: The fast part.
            velocity: That of z.
            left_out: See `flow.flow`.
        """

    def later(self, fast: Any, swinging: Any, length: Float[Array, ""]) -> State:
        """Return what is left of what oscillates after so many steps."""
        ...

    def stilled(self, fast: Any, swinging: Any, state: State) -> State:
        """Return z without what oscillates."""
        ...


class GradientDescent:
    """z = y, and a step adds f(y)."""

    limit = 2.0
    follows = True

    def begun(self, parameters: Vector) -> State:
        """Return y."""
        return parameters

    def parameters(self, state: State) -> Vector:
        """Return y."""
        return state

    def whole(self, entries: Vector) -> State:
        """Return them."""
        return entries

    def move(self, descent: Move) -> Move:
        """Return f."""
        return descent

    def reached(self, difference: State) -> Sequence[Vector]:
        """Return the difference."""
        return (difference,)

    def along(self, derivatives: Any, difference: Vector) -> Float[Array, " K"]:
        """Return M times a difference of y."""
        return multiply(derivatives, difference)

    def fast_part(self, derivatives: Any, decays: Vector, weights: Float[Array, " p"]) -> Any:
        """Return that of `fast.py`."""
        return fast_part(derivatives, decays, weights)

    def steepest(self, fast: Any) -> Vector:
        """Return the row of the largest rate."""
        return fast.rows[jnp.argmax(fast.rates)]

    def carrier(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return that of `fast.py`."""
        return partial(carried, fast, length)

    def within(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return that of `fast.py`."""
        return partial(carried_within, fast, length)

    def beside(self, fast: Any, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return that of `fast.py`."""
        return partial(carried_beside, fast, length)

    def as_descent(self, length: Float[Array, ""]) -> Float[Array, ""]:
        """Return them."""
        return length

    def settler(self, fast: Any, length: Float[Array, ""]) -> Callable[[Vector], Vector]:
        """Return the carrier."""
        return self.carrier(fast, length)

    def holds(self, fast: Any, length: Float[Array, ""]) -> Bool[Array, ""]:
        """Return whether all of it is below the limit: there terms of a logarithm decay."""
        del length
        return jnp.max(fast.rates) < STEEPEST * self.limit

    def swinging(self, fast: Any, velocity: State, left_out: State) -> Any:
        """Return None: what alternates shows in what is left out of the flow."""
        del fast, velocity, left_out

    def later(self, fast: Any, swinging: Any, length: Float[Array, ""]) -> State:
        """Nothing oscillates."""
        raise NotImplementedError

    def stilled(self, fast: Any, swinging: Any, state: State) -> State:
        """Nothing oscillates."""
        raise NotImplementedError
