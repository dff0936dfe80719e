"""Gradient descent in coordinates: the constants, the state, and the steps.

`chain.py` has the mathematics. The bases are turned so that every G_j = F_j^T B_j is diagonal (see
`Reduction.truncated`): a product with it scales what both spaces share, and costs nothing. A step
puts together the matrices that it multiplies with,

    M_j = F_j^T W_j F_{j-1} = c_j A_j + G_j D_j,
    N_j = B_j^T W_j B_{j-1} = c_j N_j(0) + D_j G_{j-1},

so that it is a chain of single products (rows stand for columns here: activations and signals are
kept transposed, r rows at a time, which is what XLA multiplies fastest on a CPU),

    f_j = M_j f_{j-1},  b_{j-1} = N_j^T b_j,
    D_j <- rho_j D_j - eta_j b_j f_{j-1}^T,   c_j <- rho_j c_j.

Only the D_j are carried from step to step. In place of M_j and N_j, two products with D_j would
read it as often, and took longer for each network measured.
"""

from __future__ import annotations

from functools import partial
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
        off_start: See `off_range.OffRange.start`.
        off_blocks: See `off_range.OffRange.blocks`.
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
        mixed: The diagonals of G_1, ..., G_{L-1}.
        backward: N_2, ..., N_L.
        rates: eta_i.
        weight_decay: lambda.
        data_fit_scale: c.
        momentum: The momentum; not read by plain gradient descent.
        blocks: For recording.
        limit: See `divergence.squared_limit`.
        pace: How far its jumps go, see `jumps.py`; None in a program without jumps.
        later: The bases of the later steps of each lane, see `later.py`; None where programs of
            XLA's take the constants.
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
    later: Any = None


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


def across(rows: Float[Array, "r p"], mixed: Float[Array, " k"], width: int) -> Array:
    """Return rows of coordinates in one of the spaces F_j and B_j in those of the other.

    Args:
        rows: The rows.
        mixed: The diagonal of G_j.
        width: The other's dimension.
    """
    shared = rows[:, : mixed.shape[0]] * mixed
    return jnp.pad(shared, ((0, 0), (0, width - mixed.shape[0])))


def activations(constants: Constants, state: State) -> list[Float[Array, "..."]]:
    """Return f_0, ..., f_L in coordinates."""
    values = [jnp.diag(constants.data.inputs)]
    depth = len(state.corrections)
    for j in range(depth):
        change = multiply(state.corrections[j], values[-1])
        if j < depth - 1:
            change = across(change.T, constants.mixed[j], constants.forward[j].shape[0]).T
        values.append(state.scales[j] * multiply(constants.forward[j], values[-1]) + change)
    return values


def signals(
    constants: Constants, state: State, residual: Float[Array, "q r"]
) -> list[Float[Array, "..."]]:
    """Return b_1, ..., b_L in coordinates, for the residual Phi."""
    values = [constants.data_fit_scale * residual]
    for j in range(len(state.corrections) - 1, 0, -1):
        straight = multiply(values[0].T, constants.backward[j - 1])
        change = multiply(values[0].T, state.corrections[j])
        change = across(change, constants.mixed[j - 1], straight.shape[1])
        values.insert(0, (state.scales[j] * straight + change).T)
    return values


def start(constants: Constants, momentum: bool) -> State:
    """Make the state at step 0."""
    depth = len(constants.forward)
    rank = constants.data.inputs.shape[0]
    outer = [n.shape[1] for n in constants.backward] + [constants.targets.shape[0]]
    inner = [rank] + [a.shape[1] for a in constants.forward[1:]]
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


def merged(
    constants: Any, corrections: tuple[Float[Array, "..."], ...], scales: Float[Array, " L"]
) -> tuple[list[Float[Array, "..."]], list[Float[Array, "..."]]]:
    """Return M_1, ..., M_L and N_2, ..., N_L.

    Args:
        constants: What has `forward`, `mixed` and `backward`.
        corrections: The D_i.
        scales: The c_i.
    """
    straight, back = [], []
    for j, change in enumerate(corrections):
        whole = scales[j] * constants.forward[j]
        if j == len(corrections) - 1:
            straight.append(whole + change)
        else:
            mixed = constants.mixed[j]
            shared = whole[: len(mixed)] + mixed[:, None] * change[: len(mixed)]
            straight.append(jnp.concatenate([shared, whole[len(mixed) :]]))
        if j:
            whole, mixed = scales[j] * constants.backward[j - 1], constants.mixed[j - 1]
            shared = whole[:, : len(mixed)] + change[:, : len(mixed)] * mixed
            back.append(jnp.concatenate([shared, whole[:, len(mixed) :]], axis=1))
    return straight, back


class _Moving(NamedTuple):
    """What changes from step to step: the D_i and c_i."""

    corrections: tuple[Float[Array, "..."], ...]
    scales: Float[Array, " L"]


class _Fixed(NamedTuple):
    """What a step reads: S, X^T, A_i, the diagonals of G_i, N_i, eta_i, rho_i, c, and the limit."""

    inputs: Float[Array, "r r"]
    targets: Float[Array, "r q"]
    forward: tuple[Float[Array, "..."], ...]
    mixed: tuple[Float[Array, "..."], ...]
    backward: tuple[Float[Array, "..."], ...]
    rates: Float[Array, " L"]
    decays: Float[Array, " L"]
    data_fit_scale: Float[Array, ""]
    limit: Float[Array, ""]


def _step(fixed: _Fixed, moving: _Moving) -> tuple[_Moving, Bool[Array, ""]]:
    """Return what a step makes of the D_i and c_i, and whether its squared error was within."""
    straight, back = merged(fixed, *moving)
    rows = [fixed.inputs]
    for matrix in straight:
        rows.append(multiply(rows[-1], matrix.T))
    residual = rows[-1] - fixed.targets
    # A product with itself: XLA sums it in one pass, and its order is fixed.
    flat = residual.reshape(-1)
    within = jnp.dot(flat, flat, precision=lax.Precision.HIGHEST) <= fixed.limit
    corrections = list(moving.corrections)
    signal = fixed.data_fit_scale * residual
    for j in range(len(corrections) - 1, -1, -1):
        scaled, below = fixed.rates[j] * signal, signal
        if j:
            below = multiply(signal, back[j - 1])
            # The update of D_j waits for what reads it (the number is never met), or XLA would
            # copy the matrix at every step.
            scaled = jnp.where(below[0, 0] == _NEVER, 0.0, scaled)
        corrections[j] = _less_outer(corrections[j], fixed.decays[j], scaled, rows[j])
        signal = below
    return _Moving(tuple(corrections), moving.scales * fixed.decays), within


def _advanced(
    fixed: _Fixed,
    moving: _Moving,
    active: Array,
    diverged: Array,
    step: Array,
    stop: Array,
    *,
    early_exit: bool,
) -> tuple[_Moving, Array, Array]:
    """Take all steps until `stop`; a run that is not active does not change."""

    def unfinished(carry: Any) -> Bool[Array, ""]:
        return (carry[0] < stop) & carry[2] if early_exit else carry[0] < stop

    def one_step(carry: Any) -> Any:
        now, moving, active, diverged = carry
        new, within = _step(fixed, moving)
        diverged = jnp.where(active & ~within, now, diverged)
        active = active & within
        moving = jax.tree.map(lambda x, y: jnp.where(active, x, y), new, moving)
        return now + 1, moving, active, diverged

    return lax.while_loop(unfinished, one_step, (step, moving, active, diverged))[1:]


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
    fixed = _Fixed(
        jnp.diag(constants.data.inputs),
        constants.targets.T,
        constants.forward,
        constants.mixed,
        constants.backward,
        constants.rates,
        1.0 - constants.rates * constants.weight_decay,
        constants.data_fit_scale,
        constants.limit,
    )
    loop = partial(_advanced, early_exit=early_exit)
    if fused:
        loop = as_one_function(loop)
    moving = _Moving(state.corrections, state.scales)
    moving, active, diverged = loop(fixed, moving, state.active, state.diverged_step, step, stop)
    return State(moving.corrections, moving.scales, state.memory, active, diverged, state.counts)
