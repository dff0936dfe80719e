"""Jumps of a reduced run: many steps of gradient descent at the price of a few evaluations.

A run that has settled drifts: what is fast has decayed, at a rate of up to a step, and what moves
is slow. A jump follows the flow of the map (`flow.py`) by a stabilised Runge-Kutta method, whose
steps may be longer by about the square of the number of its stages. Such a method damps what is
fast to a share of itself, not to nothing, and the residual is a small difference: jumps before a
record get ever shorter (`gaps.py`), and real steps follow the last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lanes import as_one_function
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced.compact_descent import merged
from dlnsweep.reduced.jumping.arrived import passed_over
from dlnsweep.reduced.jumping.far import jumped_once
from dlnsweep.reduced.jumping.flow import Chained, Layers, chained, clock_of, pulls
from dlnsweep.reduced.jumping.gaps import divided, length_of
from dlnsweep.reduced.jumping.momentum import Momentum, WithMomentum
from dlnsweep.reduced.jumping.slow import fading, limit_of

# A part of which a step takes away a > 1 alternates until it has faded, by |1 - a| a step, and then
# follows what is slow as any other: its flow goes the same way. Near 2 it does not fade; this is of
# the limit of stability.
STEEPEST = 0.85
# Steps that a stage jumps over; where it is fewer, real ones are cheaper.
LEAST_A_STAGE = 2.0
# Where a has grown by more when a gap is jumped over, so that stages were hardly enough, real steps
# are taken instead.
RISE = 1.4
_POWER_STEPS = 12


class Pace(NamedTuple):
    """How far jumps go, of one run; numbers of float64.

    Attributes:
        first: No jump begins before this step.
        stride: A jump is at most this share of the steps that were made before it.
        decay: And at most as long as weight decay takes to make the weights smaller by this share.
        arrived: By this share at most where they hardly move; see `_longest`.
        settling: Real steps before a record, over 1 / a (see `fading`).
        parts: Into how many jumps each of those is divided, and what is left of a gap between two
            records where that is shorter: so trials differ however close records are.
        arrived_from: From this step on the pilot has found nothing to move (`reduced/arrival.py`).
        still: Jumps are passed over from there on if the run has no more than this share of its
            size left to move.
    """

    first: Any
    stride: Any
    decay: Any
    arrived: Any
    settling: Any
    parts: Any
    arrived_from: Any
    still: Any


STEP_BY_STEP = Pace(*map(np.float64, (np.inf, 1.0, 1.0, 1.0, 1.0, 1.0, np.inf, 0.0)))


def _jumped(
    chain: Chained,
    scales: Float[Array, " L"],
    layers: Layers,
    rate: Float[Array, ""],
    length: Float[Array, ""],
    equal: Int[Array, ""],
    halved: Int[Array, ""],
    far: Bool[Array, ""] | None,
    may_move: Any,
) -> tuple[Float[Array, " L"], Layers, Int[Array, ""]]:
    """Return the c_i and the D_i some jumps later, and how many were made; see `gaps.py`."""
    clock = clock_of(chain)

    def once(carry: Any) -> Any:
        number, count, scales, layers = carry
        own = length_of(number, length, equal, jnp)
        made = jumped_once(chain, clock, scales, layers, rate, own, far)
        faded = jnp.exp(chain.logs * own)
        over = passed_over(chain, layers, made, own, equal - number - 1, may_move)
        faded *= jnp.exp(chain.logs * (over * length))
        return number + 1 + over, count + 1, scales * faded, made

    begun = (jnp.zeros_like(equal), jnp.zeros_like(equal), scales, layers)
    made = lax.while_loop(lambda carry: carry[0] < equal + halved, once, begun)
    return made[2], made[3], made[1]


class Plain:
    """How a run without momentum jumps."""

    def __init__(self, constants: Any) -> None:
        self.chain = chained(constants)
        self.limit = limit_of(0.0, nesterov=False)
        self.shortest = 0.0

    def ready(self, state: Any, step: Any) -> tuple[Any, Any]:
        """Return the state from which jumps begin, and its step."""
        return state, step

    def fading(self, rate: Any) -> Any:
        """See `slow.fading`."""
        return fading(rate, 0.0, jnp, nesterov=False)

    def tail(self, rate: Any, parts: Any) -> Any:
        """Return the rate that the last jumps are short beside."""
        del parts
        return rate

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
        del before
        go = as_one_function(_jumped) if fused else _jumped
        scales, made, count = go(
            self.chain, ready.scales, ready.corrections, rate, length, equal, halved, far, may_move
        )
        return ready._replace(corrections=made, scales=scales), count


def steepest(chain: Chained, scales: Float[Array, " L"], layers: Layers) -> Float[Array, ""]:
    """Return a, the most that a step takes away of a part of the residual, from below.

    The residual changes by -sum_i eta_i c W_{L:i+1} W_{L:i+1}^T Phi f_{i-1}^T f_{i-1} a step.
    """
    straight, back = merged(chain, layers, scales)
    rows, signals = [chain.inputs], [jnp.eye(chain.targets.shape[1])]
    for matrix in straight[:-1]:
        rows.append(multiply(rows[-1], matrix.T))
    for matrix in reversed(back):
        signals.insert(0, multiply(signals[0], matrix))
    pairs = [(multiply(f, f.T), multiply(b, b.T)) for f, b in zip(rows, signals, strict=True)]
    rates = chain.rates * chain.data_fit_scale

    def once(_: Any, carry: Any) -> Any:
        vector = carry[1]
        image = sum(
            rate * multiply(multiply(left, vector), right)
            for rate, (left, right) in zip(rates, pairs, strict=True)
        )
        norm = jnp.sqrt(jnp.sum(image**2))
        return norm, image / jnp.where(norm > 0, norm, 1.0)

    places = jnp.arange(chain.targets.size).reshape(chain.targets.shape)
    begun = jnp.sin(1.0 + 2.0 * places)
    return lax.fori_loop(0, _POWER_STEPS, once, (jnp.zeros(()), begun))[0]


def _longest(
    chain: Chained, pace: Pace, layers: Layers, scales: Float[Array, " L"], step: Any
) -> Float[Array, ""]:
    """Return how long a jump may be by what moves.

    By weight decay, that is where weights are at its pace. Where they move by a share m of it a
    jump leaves out so much less, and is longer by m^(-1/3), as its error is of third order.
    """
    decay = jnp.max(-chain.logs)
    decays = -jnp.expm1(chain.logs)
    speeds = [
        jnp.sum((pull - decays[j] * layer) ** 2)
        for j, (pull, layer) in enumerate(zip(pulls(chain, scales, layers), layers, strict=True))
    ]
    own = jnp.where(decay > 0, decay, 1e-300)
    size = jnp.sqrt(sum(jnp.sum(layer**2) for layer in layers))
    share = jnp.sqrt(sum(speeds)) / jnp.maximum(own * size, 1e-300)
    share = jnp.where(jnp.isfinite(share), jnp.clip(share, 1e-30, 1.0), 1.0)
    by_decay = jnp.minimum(pace.decay * share ** (-1 / 3), jnp.maximum(pace.arrived, pace.decay))
    return jnp.minimum(pace.stride * step, by_decay / own)


def before_record(
    constants: Any,
    state: Any,
    step: Int[Array, ""],
    stop: Int[Array, ""],
    *,
    fused: bool,
    momentum: Momentum | None = None,
    far: bool = False,
) -> tuple[Any, Int[Array, ""]]:
    """Return a state by jumps, as near to a record as real steps are to begin, and its step.

    Args:
        constants: The run's, with a pace.
        state: The state at `step`.
        step: The step.
        stop: That of the record.
        fused: See `lanes.as_one_function`.
        momentum: How the run takes its steps, if with momentum.
        far: Whether jumps may be longer than stages reach.
    """
    pace = constants.pace
    flow = Plain(constants) if momentum is None else WithMomentum(constants, momentum)
    chain, limit = flow.chain, STEEPEST * flow.limit

    def there(state: Any) -> Any:
        ready, now = flow.ready(state, step)
        layers = ready.corrections
        rate = steepest(chain, ready.scales, layers)
        settling = jnp.ceil(pace.settling / flow.fading(rate))
        left = (stop - now) - settling
        longest = _longest(chain, pace, layers, ready.scales, now)
        decay = jnp.max(-chain.logs)
        tail = flow.tail(rate, pace.parts)
        division = divided(left, longest, rate, tail, decay, pace.parts, jnp, far=far)
        # Real steps are cheaper than so short jumps.
        pays = (rate < limit) & (left > LEAST_A_STAGE * division.stages)
        pays &= division.shortest > flow.shortest
        made, jumps = flow.jumped(
            state,
            ready,
            rate,
            jnp.where(pays, division.length, 1.0),
            jnp.where(pays, division.equal, 0).astype(jnp.int64),
            jnp.where(pays, division.halved, 0).astype(jnp.int64),
            division.far,
            jnp.where(step >= pace.arrived_from, pace.still, -1.0),
            fused=fused,
        )
        # What is not a number is none of these.
        within = steepest(chain, made.scales, made.corrections) < jnp.minimum(RISE * rate, limit)
        pays = pays & within & ready.active
        begun = jnp.where(pays, (stop - settling).astype(jnp.int64), step)
        after = made._replace(counts=state.counts + jnp.stack([begun - now, jumps]))
        return jax.tree.map(lambda new, old: jnp.where(pays, new, old), after, state), begun

    here = state.active & (step >= pace.first) & (step < stop)
    return lax.cond(here, there, lambda state: (state, step), state)
