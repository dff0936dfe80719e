"""Jumps of a reduced run: many steps of gradient descent at the price of a few evaluations.

A run that has settled drifts: what is fast has decayed, at a rate of up to a step, and what moves
is slow. A jump follows the flow of the map (`jumps/flow.py`, two terms of its logarithm) by the
second-order Runge-Kutta-Chebyshev method, which is stable for steps longer by about the square of
the number of its stages (Sommeijer, Shampine, Verwer 1998, equations 2.1 to 2.6). Weight decay is
taken out of the flow: with c_i(t) = rho_i^t and D_i = c_i E_i a step of gradient descent is

    E_i <- E_i - (eta_i / rho_i) b_i f_{i-1}^T / c_i,

so that what only decays is exact, however long the jump. Such a method damps what is fast to a
share of itself, not to nothing, and the residual is a small difference: before each record the run
takes real steps until that has faded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from dlnsweep.numerics.lanes import as_one_function
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced.compact_descent import across, merged

# A part of which a step takes away a > 1 alternates until it has faded, by |1 - a| a step, and then
# follows what is slow as any other: its flow goes the same way. Near 2 it does not fade.
STEEPEST = 1.7
# Steps that a stage jumps over; where it is fewer, real ones are cheaper.
LEAST_A_STAGE = 3.0
# Damping of the stages, and by how much more they are stable than the linear part needs.
_DAMPING = 2 / 13
_STABLE = 2 / 3 * (1 - 2 / 15 * _DAMPING)
_MORE = 1.5
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
        settling: Real steps before a record, over 1 / a (see `fading`).
        parts: Into how many equal jumps each of those is divided, and what is left of a gap between
            two records where that is shorter: so trials differ however close records are.
    """

    first: Any
    stride: Any
    decay: Any
    settling: Any
    parts: Any


STEP_BY_STEP = Pace(*map(np.float64, (np.inf, 1.0, 1.0, 1.0, 1.0)))


Layers = tuple[Float[Array, "..."], ...]
# b^T and f^T of a layer, whose product b f^T is what moves it.
Pairs = list[tuple[Float[Array, "..."], Float[Array, "..."]]]


class Chained(NamedTuple):
    """What a gradient reads: S, X^T, A_j, the diagonals of G_j, N_j, and numbers."""

    inputs: Float[Array, "r r"]
    targets: Float[Array, "r q"]
    forward: Layers
    mixed: Layers
    backward: Layers
    rates: Float[Array, " L"]
    logs: Float[Array, " L"]
    data_fit_scale: Float[Array, ""]


def chained(constants: Any) -> Chained:
    """Return what gradients of a run read."""
    return Chained(
        jnp.diag(constants.data.inputs),
        constants.targets.T,
        constants.forward,
        constants.mixed,
        constants.backward,
        constants.rates,
        jnp.log1p(-constants.rates * constants.weight_decay),
        constants.data_fit_scale,
    )


class _Place(NamedTuple):
    """Where a jump stands: at the E_i of its beginning, what was added, and the time since.

    Attributes:
        straight: M_1, ..., M_L of the beginning.
        back: N_2, ..., N_L of the beginning.
        thin: Pairs that were added to each E_i.
        share: So many times.
        changes: What was added beside them; None where nothing was.
        time: Steps since.
    """

    straight: list[Float[Array, "..."]]
    back: list[Float[Array, "..."]]
    thin: Pairs
    share: Any
    changes: Layers | None
    time: Any


def _forward(chain: Chained, place: _Place, faded: Float[Array, " L"]) -> list[Array]:
    """Return f_0^T, ..., f_L^T."""
    rows = [chain.inputs]
    for j, matrix in enumerate(place.straight):
        change = _added(place, j, rows[-1])
        if j < len(place.straight) - 1:
            change = across(change, chain.mixed[j], len(matrix))
        rows.append(faded[j] * (multiply(rows[-1], matrix.T) + change))
    return rows


def _backward(
    chain: Chained, place: _Place, faded: Float[Array, " L"], last: Float[Array, "r q"]
) -> list[Array]:
    """Return b_1^T, ..., b_L^T, given the last."""
    rows = [last]
    for j in range(len(place.straight) - 1, 0, -1):
        matrix = place.back[j - 1]
        change = across(
            _added(place, j, rows[0], transposed=True), chain.mixed[j - 1], matrix.shape[1]
        )
        rows.insert(0, faded[j] * (multiply(rows[0], matrix) + change))
    return rows


def _added(place: _Place, j: int, rows: Array, *, transposed: bool = False) -> Array:
    """Return the product of what was added to a layer, or its transpose, with rows."""
    right, left = place.thin[j] if transposed else place.thin[j][::-1]
    change = place.share * multiply(multiply(rows, right.T), left)
    if place.changes is None:
        return change
    matrix = place.changes[j] if transposed else place.changes[j].T
    return change + multiply(rows, matrix)


def _move(chain: Chained, place: _Place) -> Pairs:
    """Return what a step adds to the E_i, as pairs."""
    faded = jnp.exp(chain.logs * place.time)
    factors = -chain.rates / jnp.exp(chain.logs) / faded
    forward = _forward(chain, place, faded)
    last = chain.data_fit_scale * (forward[-1] - chain.targets)
    backward = _backward(chain, place, faded, last)
    return [(factors[j] * b, f) for j, (b, f) in enumerate(zip(backward, forward, strict=False))]


def _outer(left: Float[Array, "r p"], right: Float[Array, "r q"]) -> Float[Array, "p q"]:
    result = left[0][:, None] * right[0][None, :]
    for row in range(1, left.shape[0]):
        result = result + left[row][:, None] * right[row][None, :]
    return result


def _runge_kutta_chebyshev(
    chain: Chained,
    scales: Float[Array, " L"],
    layers: Layers,
    length: Float[Array, ""],
    stages: Int[Array, ""],
) -> Layers:
    """Return the E_i a jump later; the c_i are `scales` at its beginning.

    With v_j what a step adds at stage j, and the flow's second term w taken from the first,
    x_j = x_0 + t_j h (v_0 + w) + z_j: what is linear in time is followed exactly, and of the others

        z_j = mu_j z_{j-1} + nu_j z_{j-2} + mu'_j h (v_{j-1} - v_0).
    """
    epsilon = _DAMPING / stages**2
    w0 = 1 + epsilon
    # T_s, T_s' and T_s'' at w0 = cosh(angle).
    sine = jnp.sqrt(epsilon * (2 + epsilon))
    angle = jnp.log1p(epsilon + sine)
    slope = stages * jnp.sinh(stages * angle) / sine
    bend = (stages**2 * jnp.cosh(stages * angle) - w0 * slope) / sine**2
    w1 = slope / bend
    b2 = 1 / (4 * w0**2)
    zero, one = jnp.zeros_like(w0), jnp.ones_like(w0)
    straight, back = merged(chain, layers, scales)
    nothing = [(jnp.zeros((1, x.shape[0])), jnp.zeros((1, x.shape[1]))) for x in layers]
    place = _Place(straight, back, nothing, zero, None, zero)
    first = _move(chain, place)
    second = _move(chain, place._replace(thin=first, share=one, time=one))
    # v_0 + w, w = -Delta^2 / 2 = (v_0 - v(x_0 + v_0)) / 2: what is slow is all that it is about, so
    # that it is the same in all stages.
    thin = [
        (jnp.concatenate([1.5 * b0, -0.5 * b1]), jnp.concatenate([f0, f1]))
        for (b0, f0), (b1, f1) in zip(first, second, strict=True)
    ]
    moved = tuple(_outer(*pair) for pair in first)

    def stage(before: Layers, now: Layers, numbers: Any) -> tuple[Layers, Any]:
        polynomials, (b_before, b_now), time = numbers
        (t0, d0, dd0), (t1, d1, dd1) = polynomials
        t2 = 2 * w0 * t1 - t0
        d2 = 2 * t1 + 2 * w0 * d1 - d0
        dd2 = 4 * d1 + 2 * w0 * dd1 - dd0
        b = dd2 / d2**2
        mu, nu, rate = 2 * w0 * b / b_now, -b / b_before, 2 * w1 * b / b_now
        move = _move(chain, _Place(straight, back, thin, time, now, time))
        new = tuple(
            mu * z1 + nu * z0 + (rate * length) * (_outer(*pair) - v0)
            for z1, z0, pair, v0 in zip(now, before, move, moved, strict=True)
        )
        polynomials = ((t1, d1, dd1), (t2, d2, dd2))
        return new, (polynomials, (b_now, b), w1 * dd2 / d2 * length)

    def two_stages(_: Any, carry: Any) -> Any:
        # Each takes the place of the one before the last; if they changed places, XLA would copy
        # both at every stage.
        even, odd, numbers = carry
        even, numbers = stage(even, odd, numbers)
        odd, numbers = stage(odd, even, numbers)
        return even, odd, numbers

    still = tuple(jnp.zeros_like(x) for x in layers)
    polynomials = ((one, zero, zero), (w0, one, zero))
    numbers = polynomials, (b2, b2), w1 / (4 * w0**2) * length
    changes = lax.fori_loop(0, (stages - 1) // 2, two_stages, (still, still, numbers))[1]
    return tuple(
        x + length * _outer(*pair) + z for x, pair, z in zip(layers, thin, changes, strict=True)
    )


def _jumped(
    chain: Chained,
    scales: Float[Array, " L"],
    layers: Layers,
    length: Float[Array, ""],
    stages: Int[Array, ""],
    jumps: Int[Array, ""],
) -> tuple[Float[Array, " L"], Layers]:
    """Return the c_i and the D_i some jumps later."""
    faded = jnp.exp(chain.logs * length)

    def once(_: Any, carry: Any) -> Any:
        scales, layers = carry
        made = _runge_kutta_chebyshev(chain, scales, layers, length, stages)
        return scales * faded, tuple(faded[j] * layer for j, layer in enumerate(made))

    return lax.fori_loop(0, jumps, once, (scales, layers))


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


def fading(rate: Any, numpy: Any = jnp) -> Any:
    """Return how fast at least what is steepest fades, a step: 1 - |1 - a| <= -log |1 - a|."""
    return numpy.maximum(numpy.minimum(rate, 2 - rate), 1e-300)


def stages_for(rate: Any, length: Any, numpy: Any = jnp) -> Any:
    """Return how many stages a jump needs in which a part decays at a rate; an odd number."""
    least = numpy.sqrt(_MORE * rate * length / _STABLE + 1)
    return 1 + 2 * numpy.maximum(1.0, numpy.ceil((least - 1) / 2))


def before_record(
    constants: Any,
    state: Any,
    step: Int[Array, ""],
    stop: Int[Array, ""],
    *,
    fused: bool,
) -> tuple[Any, Int[Array, ""]]:
    """Return a state by jumps, as near to a record as real steps are to begin, and its step.

    Args:
        constants: The run's, with a pace.
        state: The state at `step`.
        step: The step.
        stop: That of the record.
        fused: See `lanes.as_one_function`.
    """
    pace = constants.pace
    chain = chained(constants)

    def there(state: Any) -> Any:
        layers = state.corrections
        rate = steepest(chain, state.scales, layers)
        settling = jnp.ceil(pace.settling / fading(rate))
        left = (stop - step) - settling
        decays = jnp.max(-chain.logs)
        longest = jnp.minimum(
            pace.stride * step, pace.decay / jnp.where(decays > 0, decays, 1e-300)
        )
        count = jnp.maximum(jnp.ceil(left / longest), 1) * pace.parts
        length = left / count
        stages = stages_for(rate, length)
        # Real steps are cheaper than so short jumps.
        pays = (rate < STEEPEST) & (left > 0) & (length > LEAST_A_STAGE * stages)
        jumps = jnp.where(pays, count, 0).astype(jnp.int64)
        go = as_one_function(_jumped) if fused else _jumped
        scales, made = go(
            chain,
            state.scales,
            layers,
            jnp.where(pays, length, 1.0),
            stages.astype(jnp.int64),
            jumps,
        )
        # What is not a number is none of these.
        within = steepest(chain, scales, made) < jnp.minimum(RISE * rate, STEEPEST)
        pays = pays & within
        begun = jnp.where(pays, (stop - settling).astype(jnp.int64), step)
        after = state._replace(
            corrections=made,
            scales=scales,
            counts=state.counts + jnp.stack([begun - step, jumps]),
        )
        return jax.tree.map(lambda new, old: jnp.where(pays, new, old), after, state), begun

    here = state.active & (step >= pace.first) & (step < stop)
    return lax.cond(here, there, lambda state: (state, step), state)
