"""Jumps of a reduced run with momentum, along its slow flow.

What oscillates must have faded: real steps come before the first jump, and before each record. A
jump follows the slow flow of `slow.py`, as that of plain steps that are 1 / (1 - sigma) times as
long, with the term that momentum adds (`history.py`); it changes the D_i and c_i. Where the last
one ends the momentum's memory is what it is of anything that moves as slowly: with m <- b m + g the
displacement is m itself, and of Nesterov's g + b m, so that m = d - b (d - d') to the second order,
d' the displacement a step before. What m is wrong by is gone a few 1 / (1 - b) steps later, but it
has moved the D_i by b / (1 - b) of it; the last jumps before a record are short, and so it is less
than what they are wrong by.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lanes import as_one_function
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.reduced.jumping import history
from dlnsweep.reduced.jumping.arrived import passed_over
from dlnsweep.reduced.jumping.far import jumped_once
from dlnsweep.reduced.jumping.flow import Chained, Layers, chained, clock_of
from dlnsweep.reduced.jumping.gaps import length_of
from dlnsweep.reduced.jumping.slow import Slow, fading, limit_of, shortest_of, slow_of, tail_of


class Momentum(NamedTuple):
    """How a run takes its steps.

    Attributes:
        nesterov: Whether the momentum is Nesterov's.
        step: A step, of a state at a step.
    """

    nesterov: bool
    step: Callable[[Any, Any], Any]


class WithMomentum:
    """How a run with momentum jumps; see `jumps.Plain`.

    Attributes:
        chain: That whose plain steps have the slow flow, but for k.
        limit: Of plain steps' rates as those of `chain`, where steps are no longer stable.
        shortest: How long a jump must be at least.
    """

    def __init__(self, constants: Any, momentum: Momentum) -> None:
        self._own, self._beta = momentum, constants.momentum
        decays = constants.rates * constants.weight_decay
        self._slow = slow_of(decays, self._beta, jnp, nesterov=momentum.nesterov)
        # A plain step takes so much less than one of the slow flow.
        self._speed = jnp.min(self._slow.speeds)
        self.limit = self._speed * limit_of(self._beta, nesterov=momentum.nesterov)
        self.shortest = shortest_of(self._slow, jnp)
        plain = chained(constants)
        self.chain = plain._replace(rates=plain.rates * self._slow.speeds, logs=self._slow.logs)

    def ready(self, state: Any, step: Any) -> tuple[Any, Any]:
        """Return the state from which jumps begin, and its step: one further."""
        return self._own.step(state, step), step + 1

    def fading(self, rate: Any) -> Any:
        """See `slow.fading`."""
        return fading(rate / self._speed, self._beta, jnp, nesterov=self._own.nesterov)

    def tail(self, rate: Any, parts: Any) -> Any:
        """Return the rate that the last jumps are short beside; see `slow.tail_of`."""
        return tail_of(self.fading(rate), parts)

    def jumped(
        self,
        before: Any,
        ready: Any,
        rate: Any,
        length: Any,
        equal: Any,
        halved: Any,
        far: Any,
        may_move: Any,
        *,
        fused: bool,
    ) -> tuple[Any, Any]:
        """Return the state some jumps later, and how many were made; see `gaps.py`."""
        go: Any = partial(jumped, nesterov=self._own.nesterov)
        go = as_one_function(go) if fused else go
        scales, made, memory, count = go(
            self.chain,
            self._slow,
            self._beta,
            ready.scales,
            before.corrections,
            ready.corrections,
            rate,
            length,
            equal,
            halved,
            far,
            may_move,
        )
        return ready._replace(corrections=made, scales=scales, memory=memory), count


def jumped(
    chain: Chained,
    slow: Slow,
    beta: Float[Array, ""],
    scales: Float[Array, " L"],
    before: Layers,
    layers: Layers,
    rate: Float[Array, ""],
    length: Float[Array, ""],
    equal: Int[Array, ""],
    halved: Int[Array, ""],
    far: Bool[Array, ""] | None,
    may_move: Any,
    *,
    nesterov: bool,
) -> tuple[Float[Array, " L"], Layers, tuple[Array, ...], Int[Array, ""]]:
    """Return the c_i, the D_i and the memory some jumps later, and how many; see `gaps.py`.

    Args:
        chain: That of the slow flow.
        slow: What is slow.
        beta: The momentum.
        scales: The c_i.
        before: The D_i a step before.
        layers: The D_i.
        rate: How much a step of the slow flow takes away of the steepest part.
        length: That of the first jumps.
        equal: How many are so long.
        halved: How many follow, each half as long as the one before.
        far: Whether they are longer than stages reach.
        may_move: See `arrived.passed_over`.
        nesterov: Whether the momentum is Nesterov's.
    """
    clock = clock_of(chain)

    def once(carry: Any) -> Any:
        number, count, scales, layers, past = carry
        own = length_of(number, length, equal, jnp)
        others = history.others(chain, clock, slow, past, layers, own / 2)
        made = jumped_once(chain, clock, scales, layers, rate, own, far, others)
        past = history.later(chain, past, layers, own)
        faded = jnp.exp(chain.logs * own)
        over = passed_over(chain, layers, made, own, equal - number - 1, may_move)
        # What nothing has moved since was here, too, a jump's length before.
        past = jax.tree.map(
            lambda now, still: jnp.where(over > 0, still, now),
            past,
            history.still(chain, made, length),
        )
        faded *= jnp.exp(chain.logs * (over * length))
        return number + 1 + over, count + 1, scales * faded, made, past

    past = history.begun(chain, slow, scales, before, layers, length)
    begun = (jnp.zeros_like(equal), jnp.zeros_like(equal), scales, layers, past)
    made = lax.while_loop(lambda carry: carry[0] < equal + halved, once, begun)
    _, count, scales, layers, past = made
    last, one_before = history.displacements(chain, past, layers)
    lost = -jnp.expm1(-chain.logs)
    if nesterov:
        last = tuple(d - beta * (d - e) for d, e in zip(last, one_before, strict=True))
        lost = lost / (1 + beta * lost)
    return scales, layers, (*last, lost * scales), count
