"""Plain gradient descent on a deep linear network, on the reduced data.

One step changes layer i by a matrix of rank r (the number of reduced samples),

    W_i(t+1) = rho_i W_i(t) - eta_i b_i(t) f_{i-1}(t)^T,   f_i = W_i f_{i-1}, b_{i-1} = W_i^T b_i,

so the factors of up to `delay` steps are kept beside the weights and folded into them together:

    W_i(t+k) = rho_i^k W_i(t) - sum_{l<k} eta_i rho_i^{k-1-l} b_i(t+l) f_{i-1}(t+l)^T.

That is the same gradient descent; it reads a large matrix twice a step and writes it once every
`delay` steps. Small matrices are updated at every step (`delay` 1): for few samples, by iterations
that begin with the last step's update, which XLA then makes in place.

The weights are stored as W_i = c_i M_i with c_i a float64 number that carries the decay, so that
in float32 a decay of 1 - 1e-7 a step is not rounded to 1 - 1.19e-7.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.networks.layered.minibatches import Minibatches, stochastic
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.layered.view import LinearView
from dlnsweep.numerics.compensated import Matrices, nothing_lost, subtract
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply

# Folding M_i <- c_i M_i costs one rounding, so it is done only once c_i has left this interval.
_SCALE_LOW, _SCALE_HIGH = 0.5, 2.0
# Up to this many columns a product of factors is faster as a sum of outer products, which XLA
# fuses with the update of the large matrix and makes in place.
_LARGEST_OUTER = 8


# From the residual at a step to what the step takes for it.
Source = Callable[[Float[Array, "d r"], Int[Array, ""]], Float[Array, "d r"]]


class Constants(NamedTuple):
    """What a run of gradient descent is given: its data and its numbers, all traced.

    Attributes:
        data: The reduced samples.
        first_off_range: W_1(0) V_perp, the part of the first layer off range(Y); it only decays.
        learning_rates: eta_i of each layer, float64.
        decays: rho_i = 1 - eta_i lambda of each layer, float64.
        data_fit_scale: The factor c of the data fit, float64.
        minibatches: What minibatches are drawn from; None for full batches.
        limit: See `divergence.squared_limit`; set by `Kernel.bounded`, as elsewhere.
    """

    data: Reduced
    first_off_range: Float[Array, "d_1 off"]
    learning_rates: Float[Array, " L"]
    decays: Float[Array, " L"]
    data_fit_scale: Float[Array, ""]
    minibatches: Minibatches | None = None
    limit: Any = None


class State(NamedTuple):
    """What changes during a run.

    Attributes:
        matrices: M_i with W_i = c_i M_i; the first one is W_1 restricted to range(Y), (d_1, r).
        scales: c_i, float64.
        first_off_scale: rho_1^t, float64.
        lost: What has been rounded off the M_i so far; empty in float64.
        active: False once the run has diverged or was stopped; an inactive run does not change.
        diverged_step: First step at which it had diverged (see `divergence.py`), or -1.
    """

    matrices: tuple[Float[Array, "..."], ...]
    scales: Float[Array, " L"]
    first_off_scale: Float[Array, ""]
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Matrices


def start(
    weights: tuple[Float[Array, "..."], ...], data: Reduced, *, keeps_roundings: bool
) -> tuple[State, Float[Array, "d_1 off"]]:
    """Split the first layer along range(Y) and make the state at step 0.

    Args:
        weights: W_1, ..., W_L.
        data: The samples.
        keeps_roundings: Whether what a step rounds off is kept in float32; see `compensated.py`.
    """
    first_on_range = multiply(weights[0], data.range_basis)
    state = State(
        matrices=(first_on_range, *weights[1:]),
        scales=jnp.ones(len(weights), jnp.float64),
        first_off_scale=jnp.ones((), jnp.float64),
        active=jnp.ones((), bool),
        diverged_step=-jnp.ones((), jnp.int64),
        lost=nothing_lost((first_on_range, *weights[1:]), kept=keeps_roundings),
    )
    return state, multiply(weights[0], data.off_basis)


def view(constants: Constants, state: State, weight_decay: Float[Array, ""]) -> LinearView:
    """Return the view of the state that observables see."""
    dtype = state.matrices[0].dtype
    layers = tuple(m * state.scales[i].astype(dtype) for i, m in enumerate(state.matrices))
    return LinearView(
        layers,
        state.first_off_scale.astype(dtype) * constants.first_off_range,
        constants.data,
        weight_decay.astype(dtype),
        constants.data_fit_scale.astype(dtype),
    )


def advance(
    constants: Constants,
    state: State,
    step: Int[Array, ""],
    stop: Int[Array, ""],
    *,
    delay: int,
    early_exit: bool,
    minibatch_size: int = 0,
) -> State:
    """Carry out the steps `step`, ..., `stop` - 1.

    Args:
        constants: The run's data and numbers.
        state: The state at `step`.
        step: Number of the first step. All runs of a `vmap` must share it and `stop`; else every
            loop iteration would have to select between old and new weights.
        stop: Number of the step at which to end.
        delay: Number of steps whose updates are kept apart before they are folded in, static.
        early_exit: Leave the loop when the run has become inactive; only where the run is not
            under `vmap`.
        minibatch_size: Samples a minibatch, static; 0 for full batches.
    """

    def unfinished(carry: tuple[Int[Array, ""], State]) -> Bool[Array, ""]:
        within = carry[0] < stop
        # Under `vmap` the condition must not depend on the run: see `step` above.
        return within & carry[1].active if early_exit else within

    source = _source(constants, minibatch_size)

    def fold(carry: tuple[Int[Array, ""], State]) -> tuple[Int[Array, ""], State]:
        now, state = carry
        count = jnp.minimum(stop - now, delay)
        if delay == 1:
            return now + 1, _single_step(constants, state, now, source)
        return now + count, _delayed_steps(constants, state, now, count, delay, source)

    if delay == 1 and constants.data.inputs.shape[0] <= _LARGEST_OUTER:
        return _lagging_steps(constants, state, step, stop, source, early_exit=early_exit)
    return lax.while_loop(unfinished, fold, (step, state))[1]


def step(
    constants: Constants, state: State, now: Int[Array, ""], *, minibatch_size: int = 0
) -> State:
    """Return the state after one step, with its update made at once; see `advance`."""
    return _single_step(constants, state, now, _source(constants, minibatch_size))


def _source(constants: Constants, minibatch_size: int) -> Source:
    def source(residual: Float[Array, "d r"], now: Int[Array, ""]) -> Float[Array, "d r"]:
        if constants.minibatches is None:
            return residual
        return stochastic(constants.minibatches, residual, now, minibatch_size)

    return source


def rescale(
    scales: Float[Array, " L"], factors: Float[Array, " L"]
) -> tuple[Float[Array, " L"], Float[Array, " L"]]:
    """Return the new c_i after a decay by `factors`, and what M_i must be multiplied by.

    Args:
        scales: c_i.
        factors: rho_i, or a power of it.
    """
    wanted = scales * factors
    keep = (jnp.abs(wanted) > _SCALE_LOW) & (jnp.abs(wanted) < _SCALE_HIGH)
    return jnp.where(keep, wanted, 1.0), jnp.where(keep, 1.0, wanted)


def check(
    state: State, residual: Float[Array, "d r"], limit: Float[Array, ""], now: Int[Array, ""]
) -> tuple[Bool[Array, ""], Int[Array, ""]]:
    """Return whether the run is still active at step `now`, and its diverged step."""
    within = jnp.sum(residual**2) <= limit
    diverged = state.active & ~within
    return state.active & within, jnp.where(diverged, now, state.diverged_step)


def _single_step(constants: Constants, state: State, now: Int[Array, ""], source: Source) -> State:
    """One step with its update made at once: for small layers and many samples."""
    data, depth, dtype = constants.data, len(state.matrices), state.matrices[0].dtype
    scales = state.scales.astype(dtype)
    forward = [data.inputs, scales[0] * state.matrices[0] * data.inputs]
    for i in range(1, depth):
        forward.append(scales[i] * multiply(state.matrices[i], forward[i]))
    residual = forward.pop() - data.targets
    active, diverged_step = check(state, residual, constants.limit, now)
    decays = jnp.where(active, constants.decays, 1.0)
    new_scales, fold = rescale(state.scales, decays)
    rates = constants.learning_rates * constants.data_fit_scale / new_scales
    backward = jnp.where(active, source(residual, now), 0.0)
    matrices, lost = list(state.matrices), list(state.lost)
    for i in reversed(range(depth)):
        left = rates[i].astype(dtype) * backward
        update = multiply(left, jnp.where(active, forward[i], 0.0).T) if i else left * data.inputs
        subtract(matrices, lost, i, fold[i].astype(dtype), update)
        if i:
            backward = scales[i] * multiply(backward.T, state.matrices[i]).T
    off_scale = state.first_off_scale * decays[0]
    return State(tuple(matrices), new_scales, off_scale, active, diverged_step, tuple(lost))


def _lagging_steps(
    constants: Constants,
    state: State,
    step: Int[Array, ""],
    stop: Int[Array, ""],
    source: Source,
    *,
    early_exit: bool,
) -> State:
    """Steps that begin with the update that the step before has found: for small layers.

    Written before they are read, the matrices are updated in place; the other way round XLA
    copies each of them once a step.
    """
    data, depth, dtype = constants.data, len(state.matrices), state.matrices[0].dtype
    rank = data.inputs.shape[0]

    def update(
        state: State,
        fold: Float[Array, " L"],
        lefts: tuple[Float[Array, "r _"], ...],
        rights: tuple[Float[Array, "r _"], ...],
    ) -> State:
        matrices, lost = list(state.matrices), list(state.lost)
        for i in range(depth):
            # In the basis of range(Y) the first layer's inputs are a diagonal matrix.
            change = _outer(lefts[i], rights[i - 1]) if i else lefts[0].T * data.inputs
            subtract(matrices, lost, i, fold[i].astype(dtype), change)
        return state._replace(matrices=tuple(matrices), lost=tuple(lost))

    def unfinished(carry) -> Bool[Array, ""]:
        within = carry[0] < stop
        return within & carry[1].active if early_exit else within

    def one_step(carry):
        now, state, *pending = carry
        state = update(state, *pending)
        matrices, scales = state.matrices, state.scales.astype(dtype)
        forward = [scales[0] * matrices[0] * data.inputs]
        for i in range(1, depth):
            forward.append(scales[i] * multiply(matrices[i], forward[-1]))
        residual = forward.pop() - data.targets
        active, diverged_step = check(state, residual, constants.limit, now)
        decays = jnp.where(active, constants.decays, 1.0)
        new_scales, fold = rescale(state.scales, decays)
        rates = constants.learning_rates * constants.data_fit_scale / new_scales
        rows = jnp.where(active, source(residual, now), 0.0).T
        lefts = [rates[-1].astype(dtype) * rows]
        for i in reversed(range(1, depth)):
            rows = scales[i] * multiply(rows, matrices[i])
            lefts.insert(0, rates[i - 1].astype(dtype) * rows)
        rights = tuple(jnp.where(active, f, 0.0).T for f in forward)
        off_scale = state.first_off_scale * decays[0]
        state = State(matrices, new_scales, off_scale, active, diverged_step, state.lost)
        return now + 1, state, fold, tuple(lefts), rights

    carry: Any = (
        step,
        state,
        jnp.ones(depth, jnp.float64),
        tuple(jnp.zeros((rank, m.shape[0]), dtype) for m in state.matrices),
        tuple(jnp.zeros((rank, m.shape[1]), dtype) for m in state.matrices[1:]),
    )
    _, state, *pending = lax.while_loop(unfinished, one_step, carry)
    return update(state, *pending)


def _outer(left: Float[Array, "k rows"], right: Float[Array, "k columns"]) -> Array:
    """Return left^T right."""
    count = left.shape[0]
    if count > _LARGEST_OUTER:
        return multiply(left.T, right)
    products = [left[j, :, None] * right[j, None, :] for j in range(count)]
    return reduce(operator.add, products)


def _delayed_steps(
    constants: Constants,
    state: State,
    now: Int[Array, ""],
    count: Int[Array, ""],
    delay: int,
    source: Source,
) -> State:
    """Up to `delay` steps whose updates are folded into the large matrices once, at the end."""
    data, depth, dtype = constants.data, len(state.matrices), state.matrices[0].dtype
    rank = data.inputs.shape[0]
    lefts = tuple(jnp.zeros((delay, rank, m.shape[0]), dtype) for m in state.matrices)
    rights = tuple(jnp.zeros((delay, rank, m.shape[1]), dtype) for m in state.matrices)
    rates = constants.learning_rates * constants.data_fit_scale

    def flat(buffer: Float[Array, "delay r size"]) -> Float[Array, "delay*r size"]:
        return buffer.reshape(delay * rank, buffer.shape[-1])

    def spread(coefficients: Float[Array, " delay"]) -> Float[Array, "rows 1"]:
        return jnp.repeat(coefficients.astype(dtype), rank)[:, None]

    def step(k: Int[Array, ""], carry):
        lefts, rights, coefficients, decayed, active, diverged_step, off_scale = carry
        factors = (decayed * state.scales).astype(dtype)
        # Buffer entries of steps not taken yet are zero, so whole buffers can be multiplied.
        forward = [jnp.diag(data.inputs)]
        for i, matrix in enumerate(state.matrices):
            seen = spread(coefficients[i]) * multiply(flat(rights[i]), forward[i])
            correction = multiply(seen.T, flat(lefts[i])).T
            forward.append(factors[i] * multiply(matrix, forward[i]) - correction)
        residual = forward.pop() - data.targets
        active, diverged_step = check(
            state._replace(active=active, diverged_step=diverged_step),
            residual,
            constants.limit,
            now + k,
        )
        backward = [jnp.where(active, source(residual, now + k), 0.0)]
        for i in reversed(range(1, depth)):
            rows = backward[0].T
            seen = spread(coefficients[i]) * multiply(flat(lefts[i]), backward[0])
            correction = multiply(seen.T, flat(rights[i]))
            rows = factors[i] * multiply(rows, state.matrices[i]) - correction
            backward.insert(0, rows.T)
        decays = jnp.where(active, constants.decays, 1.0)
        coefficients = (coefficients * decays[:, None]).at[:, k].set(jnp.where(active, rates, 0.0))
        forward = [jnp.where(active, f, 0.0) for f in forward]
        lefts = tuple(b.at[k].set(x.T) for b, x in zip(lefts, backward, strict=True))
        rights = tuple(b.at[k].set(x.T) for b, x in zip(rights, forward, strict=True))
        return (
            lefts,
            rights,
            coefficients,
            decayed * decays,
            active,
            diverged_step,
            off_scale * decays[0],
        )

    carry = (
        lefts,
        rights,
        jnp.zeros((depth, delay), jnp.float64),
        jnp.ones(depth, jnp.float64),
        state.active,
        state.diverged_step,
        state.first_off_scale,
    )
    carry = lax.fori_loop(0, count, step, carry)
    lefts, rights, coefficients, decayed, active, diverged_step, off_scale = carry
    scales, fold = rescale(state.scales, decayed)
    matrices, lost = list(state.matrices), list(state.lost)
    for i in range(depth):
        change = _outer(spread(coefficients[i] / scales[i]) * flat(lefts[i]), flat(rights[i]))
        subtract(matrices, lost, i, fold[i].astype(dtype), change)
    return State(tuple(matrices), scales, off_scale, active, diverged_step, tuple(lost))
