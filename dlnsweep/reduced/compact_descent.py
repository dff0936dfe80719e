"""Gradient descent in coordinates: the constants, the state, and the steps.

`chain.py` has the mathematics. Between two records the loop carries, beside the corrections D_i,
the matrices that a step multiplies with, merged,

    M_j = F_j^T W_j F_{j-1} = c_j A_j + G_j D_j,
    N_j = B_j^T W_j B_{j-1} = c_j N_j(0) + D_j G_{j-1},

so that a step is a chain of single products (rows stand for columns here: everything is kept
transposed, r rows at a time, which is what XLA multiplies fastest on a CPU),

    f_j = M_j f_{j-1},  b_{j-1} = N_j^T b_j,  g_j = G_j b_j,  h_j = G_j^T f_j
    M_j <- rho_j M_j - eta_j g_j f_{j-1}^T,   N_j <- rho_j N_j - eta_j b_j h_{j-1}^T
    D_j <- rho_j D_j - eta_j b_j f_{j-1}^T,   c_j <- rho_j c_j.

The merged matrices are made afresh after every record, so rounding does not drive them apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.numerics.lanes import as_one_function
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply

# A value that no product has; see `_update`.
_NEVER = 1.2345e30


class Blocks(NamedTuple):
    """What recording needs beside the chain; all matrices fixed.

    Attributes:
        output_basis: B_L, in the signals' coordinates.
        off_start: See `reduction.OffRange.start`.
        off_blocks: See `reduction.OffRange.blocks`.
        overlaps: B_i^T W_i(0) F_{i-1} of each layer.
        squared_norms: ||W_i(0)||_F^2; of the first layer its part on range(Y).
        first_off_norm: ||W_1(0) V_perp||_F^2.
        first_off_gain: ||W_1(0) V_perp||_op.
    """

    output_basis: Float[Array, "d q"]
    off_start: tuple[Float[Array, "..."], ...]
    off_blocks: tuple[tuple[Float[Array, "..."], ...], ...]
    overlaps: tuple[Float[Array, "..."], ...]
    squared_norms: Float[Array, " L"]
    first_off_norm: Float[Array, ""]
    first_off_gain: Float[Array, ""]


class Constants(NamedTuple):
    """What a run is given: the chain, the numbers, and what recording needs.

    Attributes:
        data: The reduced samples.
        targets: X V in the basis B_L.
        forward: A_1, ..., A_L.
        mixed: G_1, ..., G_{L-1}.
        backward: N_2, ..., N_L.
        rates: eta_i.
        weight_decay: lambda.
        data_fit_scale: c.
        momentum: The momentum; not read by plain gradient descent.
        blocks: For recording.
        limit: See `divergence.squared_limit`.
        pace: How far its jumps go, see `jumps.py`; None in a program without jumps.
    """

    data: Reduced
    targets: Float[Array, "q r"]
    forward: tuple[Float[Array, "..."], ...]
    mixed: tuple[Float[Array, "..."], ...]
    backward: tuple[Float[Array, "..."], ...]
    rates: Float[Array, " L"]
    weight_decay: Float[Array, ""]
    data_fit_scale: Float[Array, ""]
    momentum: Float[Array, ""]
    blocks: Blocks
    limit: Float[Array, ""]
    pace: Any = None


class State(NamedTuple):
    """What changes during a run.

    Attributes:
        corrections: D_1, ..., D_L.
        scales: c_i.
        memory: The momentum's memory of the changes of D_i and c_i; empty without momentum.
        active: False once the run has diverged or was stopped; an inactive run does not change.
        diverged_step: First step at which it had diverged (see `divergence.py`), or -1.
        counts: In a program with jumps the steps that were jumped over, and the jumps; else empty.
    """

    corrections: tuple[Float[Array, "..."], ...]
    scales: Float[Array, " L"]
    memory: tuple[Float[Array, "..."], ...]
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    counts: Any = ()


def activations(constants: Constants, state: State) -> list[Float[Array, "..."]]:
    """Return f_0, ..., f_L in coordinates."""
    values = [jnp.diag(constants.data.inputs)]
    depth = len(state.corrections)
    for j in range(depth):
        change = multiply(state.corrections[j], values[-1])
        if j < depth - 1:
            change = multiply(constants.mixed[j], change)
        values.append(state.scales[j] * multiply(constants.forward[j], values[-1]) + change)
    return values


def signals(
    constants: Constants, state: State, residual: Float[Array, "q r"]
) -> list[Float[Array, "..."]]:
    """Return b_1, ..., b_L in coordinates, for the residual Phi."""
    values = [constants.data_fit_scale * residual]
    for j in range(len(state.corrections) - 1, 0, -1):
        change = multiply(multiply(values[0].T, state.corrections[j]), constants.mixed[j - 1]).T
        straight = state.scales[j] * multiply(values[0].T, constants.backward[j - 1]).T
        values.insert(0, straight + change)
    return values


def start(constants: Constants, momentum: bool) -> State:
    """Make the state at step 0."""
    depth = len(constants.forward)
    rank = constants.data.inputs.shape[0]
    outer = [g.shape[1] for g in constants.mixed] + [constants.targets.shape[0]]
    inner = [rank] + [g.shape[0] for g in constants.mixed]
    corrections = tuple(jnp.zeros(shape) for shape in zip(outer, inner, strict=True))
    scales = jnp.ones(depth)
    return State(
        corrections,
        scales,
        (*corrections, jnp.zeros(depth)) if momentum else (),
        jnp.ones((), bool),
        -jnp.ones((), jnp.int64),
    )


def _less_outer(
    matrix: Float[Array, "p q"], decay: Array, left: Float[Array, "r p"], right: Float[Array, "r q"]
) -> Float[Array, "p q"]:
    """Return decay * matrix - left^T right, which XLA makes in one pass for few rows."""
    result = decay * matrix
    for row in range(left.shape[0]):
        result = result - left[row][:, None] * right[row][None, :]
    return result


def _merged(
    constants: Constants, state: State
) -> tuple[tuple[Float[Array, "..."], ...], tuple[Float[Array, "..."], ...]]:
    """Return M_1^T, ..., M_L^T and N_2, ..., N_L."""
    depth = len(state.corrections)
    straight, back = [], []
    for j in range(depth):
        change = state.corrections[j]
        if j:
            old = state.scales[j] * constants.backward[j - 1]
            back.append(old + multiply(change, constants.mixed[j - 1]))
        if j < depth - 1:
            change = multiply(constants.mixed[j], change)
        straight.append((state.scales[j] * constants.forward[j] + change).T)
    return tuple(straight), tuple(back)


class _Moving(NamedTuple):
    """What changes from step to step: see the head of this module."""

    straight: tuple[Float[Array, "..."], ...]
    back: tuple[Float[Array, "..."], ...]
    corrections: tuple[Float[Array, "..."], ...]
    scales: Float[Array, " L"]


class _Fixed(NamedTuple):
    """What a step reads: S, X^T, G_j and G_j^T, eta_i, rho_i, c, and the limit of a run."""

    inputs: Float[Array, "r r"]
    targets: Float[Array, "r q"]
    mixed: tuple[Float[Array, "..."], ...]
    mixed_rows: tuple[Float[Array, "..."], ...]
    rates: Float[Array, " L"]
    decays: Float[Array, " L"]
    data_fit_scale: Float[Array, ""]
    limit: Float[Array, ""]


def _forward(fixed: _Fixed, moving: _Moving) -> tuple[list[Float[Array, "..."]], Array]:
    """Return f_0^T, ..., f_{L-1}^T and Phi^T."""
    rows = [fixed.inputs]
    for matrix in moving.straight:
        rows.append(multiply(rows[-1], matrix))
    return rows[:-1], rows[-1] - fixed.targets


def _update(
    fixed: _Fixed, moving: _Moving, rows: list[Float[Array, "..."]], residual: Array
) -> _Moving:
    """Return what one step makes of the moving matrices."""
    straight, back, corrections = (list(x) for x in moving[:3])
    rho = fixed.decays
    depth = len(straight)
    signal = fixed.data_fit_scale * residual
    for j in range(depth - 1, -1, -1):
        scaled = fixed.rates[j] * signal
        seen = scaled if j == depth - 1 else multiply(scaled, fixed.mixed_rows[j])
        corrections[j] = _less_outer(corrections[j], rho[j], scaled, rows[j])
        straight[j] = _less_outer(straight[j], rho[j], rows[j], seen)
        if j:
            below = multiply(signal, back[j - 1])
            crossed = multiply(rows[j], fixed.mixed[j - 1])
            # The update of N_j waits for the product that reads it (the number is never met), or
            # XLA would copy the matrix at every step.
            scaled = jnp.where(below[0, 0] == _NEVER, 0.0, scaled)
            back[j - 1] = _less_outer(back[j - 1], rho[j], scaled, crossed)
            signal = below
    return _Moving(tuple(straight), tuple(back), tuple(corrections), moving.scales * rho)


def _while_within(fixed: _Fixed, moving: _Moving, active: Array, step: Array, stop: Array) -> Any:
    """Take steps until `stop`, or until the squared error is beyond its limit."""

    def error(residual: Array) -> Array:
        # A product with itself: XLA sums it in one pass, and its order is fixed.
        flat = residual.reshape(-1)
        return jnp.dot(flat, flat, precision=lax.Precision.HIGHEST)

    rows, residual = _forward(fixed, moving)
    # The limit is finite, so a run that is not active takes no step.
    begun = jnp.where(active, error(residual), jnp.inf)

    def unfinished(carry: Any) -> Bool[Array, ""]:
        return (carry[0] < stop) & (carry[1] <= fixed.limit)

    def one_step(carry: Any) -> Any:
        now, _, moving, rows, residual = carry
        moving = _update(fixed, moving, [fixed.inputs, *rows], residual)
        rows, residual = _forward(fixed, moving)
        return now + 1, error(residual), moving, rows[1:], residual

    carry = (step, begun, moving, rows[1:], residual)
    now, last, moving, _, _ = lax.while_loop(unfinished, one_step, carry)
    return now, last, moving


def _until_stop(
    fixed: _Fixed, moving: _Moving, active: Array, diverged: Array, step: Array, stop: Array
) -> tuple[_Moving, Array, Array]:
    """Take all steps until `stop`; a run that is not active does not change. For `vmap`."""

    def one_step(carry: Any) -> Any:
        now, moving, active, diverged = carry
        rows, residual = _forward(fixed, moving)
        within = jnp.sum(residual**2) <= fixed.limit
        diverged = jnp.where(active & ~within, now, diverged)
        active = active & within
        new = _update(fixed, moving, rows, residual)
        moving = jax.tree.map(lambda x, y: jnp.where(active, x, y), new, moving)
        return now + 1, moving, active, diverged

    carry = (step, moving, active, diverged)
    return lax.while_loop(lambda c: c[0] < stop, one_step, carry)[1:]


def advance(
    constants: Constants,
    state: State,
    step: Array,
    stop: Array,
    *,
    early_exit: bool,
    fused: bool = False,
) -> State:
    """Return the state after the steps `step`, ..., `stop` - 1 of plain gradient descent.

    Args:
        constants: What the run is given.
        state: The state at `step`.
        step: Number of the first step, shared by all runs of a `vmap`, as is `stop`.
        stop: Number of the step at which to end.
        early_exit: Leave the loop when the run has become inactive; only where the run is not
            under `vmap`.
        fused: Have XLA compile the whole loop as one function; see `lanes.as_one_function`.
    """
    straight, back = _merged(constants, state)
    fixed = _Fixed(
        jnp.diag(constants.data.inputs),
        constants.targets.T,
        constants.mixed,
        tuple(g.T for g in constants.mixed),
        constants.rates,
        1.0 - constants.rates * constants.weight_decay,
        constants.data_fit_scale,
        constants.limit,
    )
    moving = _Moving(straight, back, state.corrections, state.scales)
    active, diverged = state.active, state.diverged_step
    if early_exit:
        loop = as_one_function(_while_within) if fused else _while_within
        now, last, moving = loop(fixed, moving, active, step, stop)
        within = last <= constants.limit
        # At `stop` itself the error belongs to the next step, which will find it.
        diverged = jnp.where(active & ~within & (now < stop), now, diverged)
        active = active & (within | (now >= stop))
    else:
        moving, active, diverged = _until_stop(fixed, moving, active, diverged, step, stop)
    return State(moving.corrections, moving.scales, state.memory, active, diverged, state.counts)
