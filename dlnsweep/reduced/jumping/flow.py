"""A jump along the flow of a reduced run's map.

It follows the flow of the map (`jumps/flow.py`, three terms of its logarithm) by the stabilised
method of third order of `stages.py`. Weight decay is taken out of the flow: with D_i = rho_i^t E_i
and G_i = -eta_i b_i f_{i-1}^T a step of gradient descent is

    E_i <- E_i + rho_i^(-1-t) G_i,    c_i <- rho_i c_i,

and in place of steps the jump counts s = sum_t rho^(-1-t), rho the least rho_i (`stretched` of
`gaps.py`). Where all layers decay alike dE_i / ds is G_i itself: what only decays is exact however
long the jump, and so is what decays towards where it is held, G_i being constant; else it is
r_i G_i with r_i the quotient of both sums' terms. The flow is G_i and, of its change by a step,

    - Delta / 2 + Delta^2 / 3,

which is about what is slow alone, and the same in all stages.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced.compact_descent import across, merged
from dlnsweep.reduced.jumping.gaps import stretched
from dlnsweep.reduced.jumping.stages import DAMPING, table

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


class Place(NamedTuple):
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


def forward_rows(chain: Chained, place: Place, faded: Float[Array, " L"]) -> list[Array]:
    """Return f_0^T, ..., f_L^T."""
    rows = [chain.inputs]
    for j, matrix in enumerate(place.straight):
        change = _added(place, j, rows[-1])
        if j < len(place.straight) - 1:
            change = across(change, chain.mixed[j], len(matrix))
        rows.append(faded[j] * (multiply(rows[-1], matrix.T) + change))
    return rows


def backward_rows(
    chain: Chained, place: Place, faded: Float[Array, " L"], last: Float[Array, "r q"]
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


def _added(place: Place, j: int, rows: Array, *, transposed: bool = False) -> Array:
    """Return the product of what was added to a layer, or its transpose, with rows."""
    right, left = place.thin[j] if transposed else place.thin[j][::-1]
    change = place.share * multiply(multiply(rows, right.T), left)
    if place.changes is None:
        return change
    matrix = place.changes[j] if transposed else place.changes[j].T
    return change + multiply(rows, matrix)


def _move(chain: Chained, place: Place, ratios: Float[Array, " L"]) -> Pairs:
    """Return r_i G_i, as pairs.

    Args:
        chain: What gradients read.
        place: Where.
        ratios: r_i.
    """
    faded = jnp.exp(chain.logs * place.time)
    factors = -chain.rates * ratios
    forward = forward_rows(chain, place, faded)
    last = chain.data_fit_scale * (forward[-1] - chain.targets)
    backward = backward_rows(chain, place, faded, last)
    return [(factors[j] * b, f) for j, (b, f) in enumerate(zip(backward, forward, strict=False))]


def nothing(layers: Layers) -> Pairs:
    """Return pairs that add nothing."""
    return [(jnp.zeros((1, x.shape[0])), jnp.zeros((1, x.shape[1]))) for x in layers]


def outer(left: Float[Array, "r p"], right: Float[Array, "r q"]) -> Float[Array, "p q"]:
    """Return left^T right, in one pass for few rows."""
    result = left[0][:, None] * right[0][None, :]
    for row in range(1, left.shape[0]):
        result = result + left[row][:, None] * right[row][None, :]
    return result


class Clock(NamedTuple):
    """What a jump counts in place of steps.

    Attributes:
        decay: -log rho.
        of_all: r_i at the beginning of a jump.
    """

    decay: Float[Array, ""]
    of_all: Float[Array, " L"]

    def ratios(self, chain: Chained, time: Array) -> Float[Array, " L"]:
        """Return r_i after some steps."""
        return self.of_all * jnp.exp(-(self.decay + chain.logs) * time)

    def steps(self, passed: Array) -> Array:
        """Return after how many steps so much has passed."""
        decays = self.decay > 0
        own = jnp.where(decays, self.decay, 1.0)
        return jnp.where(decays, jnp.log1p(passed * -jnp.expm1(-own)) / own, passed)


def clock_of(chain: Chained) -> Clock:
    """Return what jumps of a chain count."""
    decay = jnp.max(-chain.logs)
    return Clock(decay, passing(-chain.logs) / passing(decay))


def passing(decay: Array) -> Array:
    """Return d / dt of sum_t rho^(-1-t) where it begins; decay is -log rho."""
    own = jnp.where(decay > 0, decay, 1.0)
    return jnp.where(decay > 0, own / -jnp.expm1(-own), 1.0)


def _with_others(
    chain: Chained,
    clock: Clock,
    straight: list[Float[Array, "..."]],
    back: list[Float[Array, "..."]],
    v0: Pairs,
) -> Pairs:
    """Return v_0 + w of plain steps, as pairs."""
    one = jnp.ones(())
    # What a step adds is G times this, of the first and of the second step.
    added = [jnp.exp(-(1 + step) * chain.logs) / clock.of_all for step in (0, 1)]
    after = [(added[0][j] * b, f) for j, (b, f) in enumerate(v0)]
    v1 = _move(chain, Place(straight, back, after, one, None, one), clock.of_all)
    after = [
        (jnp.concatenate([b0, added[1][j] * b1]), jnp.concatenate([f0, f1]))
        for j, ((b0, f0), (b1, f1)) in enumerate(zip(after, v1, strict=True))
    ]
    v2 = _move(chain, Place(straight, back, after, one, None, 2 * one), clock.of_all)
    # v_0 + w, w = -Delta / 2 + Delta^2 / 3.
    return [
        (
            jnp.concatenate([11 / 6 * b0, -7 / 6 * b1, 1 / 3 * b2]),
            jnp.concatenate([f0, f1, f2]),
        )
        for (b0, f0), (b1, f1), (b2, f2) in zip(v0, v1, v2, strict=True)
    ]


def other_terms(chain: Chained, clock: Clock, scales: Float[Array, " L"], layers: Layers) -> Layers:
    """Return w of plain steps, as matrices."""
    straight, back = merged(chain, layers, scales)
    zero = jnp.zeros(())
    v0 = _move(chain, Place(straight, back, nothing(layers), zero, None, zero), clock.of_all)
    whole = _with_others(chain, clock, straight, back, v0)
    return tuple(outer(*both) - outer(*own) for both, own in zip(whole, v0, strict=True))


def jump(
    chain: Chained,
    clock: Clock,
    scales: Float[Array, " L"],
    layers: Layers,
    length: Float[Array, ""],
    row: Int[Array, ""],
    others: Layers | None = None,
) -> Layers:
    """Return the E_i a jump later; the c_i are `scales` at its beginning.

    With v_j = r G at stage j, w the flow's other terms, found at the beginning, and t_j of the
    whole length S in s, x_j = x_0 + t_j S (v_0 + w) + z_j, where

        z_j = mu_j z_{j-1} + nu_j z_{j-2} + mu'_j S (v_{j-1} - v_0),

    and the jump ends at x_0 + S (v_0 + w) + sum_j g_j z_j. Where w is given, as matrices that are
    of no low rank, it stands in z_j: x_j = x_0 + t_j S v_0 + z_j, with z_1 = t_1 S w and of w in
    mu'_j the factor b_{j-1} T_{j-1}(w_0) of `stages.py`.

    Args:
        chain: What gradients read.
        clock: What is counted.
        scales: The c_i.
        layers: The E_i.
        length: In steps.
        row: That of `stages.table`.
        others: w; by default that of plain steps, by two of them.
    """
    weights = jnp.asarray(table().weights)[row]
    count = jnp.asarray(table().counts)[row]
    whole = stretched(clock.decay, length, jnp)
    stages = count.astype(whole.dtype)
    epsilon = DAMPING / stages**2
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
    v0 = _move(chain, Place(straight, back, nothing(layers), zero, None, zero), clock.of_all)
    thin = _with_others(chain, clock, straight, back, v0) if others is None else v0
    moved = tuple(outer(*pair) for pair in v0)

    def stage(before: Layers, now: Layers, numbers: Any) -> tuple[Layers, Any]:
        polynomials, (b_before, b_now), passed = numbers
        (t0, d0, dd0), (t1, d1, dd1) = polynomials
        t2 = 2 * w0 * t1 - t0
        d2 = 2 * t1 + 2 * w0 * d1 - d0
        dd2 = 4 * d1 + 2 * w0 * dd1 - dd0
        b = dd2 / d2**2
        mu, nu, rate = 2 * w0 * b / b_now, -b / b_before, 2 * w1 * b / b_now
        time = clock.steps(passed)
        place = Place(straight, back, thin, passed, now, time)
        move = _move(chain, place, clock.ratios(chain, time))
        new = tuple(
            mu * z1 + nu * z0 + (rate * whole) * (outer(*pair) - v0)
            for z1, z0, pair, v0 in zip(now, before, move, moved, strict=True)
        )
        if others is not None:
            of_w = rate * whole * b_now * t1
            new = tuple(z + of_w * w for z, w in zip(new, others, strict=True))
        polynomials = ((t1, d1, dd1), (t2, d2, dd2))
        return new, (polynomials, (b_now, b), w1 * dd2 / d2 * whole)

    def two_stages(pair: Any, carry: Any) -> Any:
        # Each takes the place of the one before the last; if they changed places, XLA would copy
        # both at every stage.
        even, odd, summed, numbers = carry
        even, numbers = stage(even, odd, numbers)
        odd, numbers = stage(odd, even, numbers)
        g0, g1 = weights[2 * pair + 2], weights[2 * pair + 3]
        summed = tuple(s + g0 * x + g1 * y for s, x, y in zip(summed, even, odd, strict=True))
        return even, odd, summed, numbers

    still = tuple(jnp.zeros_like(x) for x in layers)
    first = still if others is None else tuple(w1 * b2 * whole * w for w in others)
    polynomials = ((one, zero, zero), (w0, one, zero))
    numbers = polynomials, (b2, b2), w1 * b2 * whole
    summed = lax.fori_loop(0, (count - 1) // 2, two_stages, (still, first, still, numbers))[2]
    return tuple(
        x + whole * outer(*pair) + z for x, pair, z in zip(layers, thin, summed, strict=True)
    )


def pulls(chain: Chained, scales: Float[Array, " L"], layers: Layers) -> list[Float[Array, "..."]]:
    """Return the G_i."""
    straight, back = merged(chain, layers, scales)
    zero = jnp.zeros(())
    place = Place(straight, back, nothing(layers), zero, None, zero)
    return [outer(*pair) for pair in _move(chain, place, jnp.ones(len(layers)))]
