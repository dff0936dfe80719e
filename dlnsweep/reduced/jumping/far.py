"""Jumps that stages are too many or too inexact for, by the method of `reduced/implicit.py`.

Where decay is slow a jump is a share of its time long, and a stabilised method would have thousands
of stages. Here a jump of h steps is divided into parts, which are implicit and exact in what only
decays: of t steps

    D_j = rho_j^t D_j(0) + theta_j (G_j + w_j),      theta_j = (1 - rho_j^t) / (1 - rho_j),

with G_j = -eta_j b_j f_{j-1}^T at its end and w the flow's other terms at the jump's beginning. It
is solved for Psi = theta Phi of f_L - X = Psi / theta; three divisions are extrapolated, and the
outputs are brought to their last Phi. What a jump leaves in the residual is then no more than in
what moves slowly, so that no shorter ones need to follow. Where the iteration does not converge, as
where more than decay moves the run, a jump is halved, until it is one that stages make
(`gaps.BEFORE_FAR`).

Changes are counted as in `flow.py`, D_j = rho_j^t E_j with t from the jump's beginning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float

from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced.compact_descent import across, merged
from dlnsweep.reduced.implicit import CONVERGED, MOST, NEAR, PARTS, ROUNDING, WEIGHTS
from dlnsweep.reduced.jumping.flow import (
    Chained,
    Clock,
    Layers,
    Pairs,
    Place,
    backward_rows,
    forward_rows,
    jump,
    nothing,
    other_terms,
    outer,
)
from dlnsweep.reduced.jumping.gaps import BEFORE_FAR, reach_of
from dlnsweep.reduced.jumping.stages import farthest, row_for

# What is left of a jump after this share of it is rounding.
_LEFT = 1e-12


def jumped_once(
    chain: Chained,
    clock: Clock,
    scales: Float[Array, " L"],
    layers: Layers,
    rate: Float[Array, ""],
    length: Float[Array, ""],
    is_far: Bool[Array, ""] | None,
    others: Layers | None = None,
) -> Layers:
    """Return the D_i a jump later.

    Args:
        chain: What gradients read.
        clock: What a jump counts.
        scales: The c_i.
        layers: The D_i.
        rate: The largest rate of a step.
        length: That of the jump.
        is_far: Whether the jumps of the gap are implicit; see `gaps.Division`. None: none is.
        others: See `flow.jump`.
    """

    def by_stages(scales: Any, layers: Layers, own: Any) -> tuple[Layers, Bool[Array, ""]]:
        row = row_for(reach_of(rate, clock.decay, own, jnp), jnp)
        made = jump(chain, clock, scales, layers, own, row, others)
        faded = jnp.exp(chain.logs * own)
        return tuple(faded[j] * layer for j, layer in enumerate(made)), jnp.ones((), bool)

    if is_far is None:
        return by_stages(scales, layers, length)[0]

    def implicitly(scales: Any, layers: Layers, own: Any) -> tuple[Layers, Bool[Array, ""]]:
        terms = other_terms(chain, clock, scales, layers) if others is None else others
        return far(chain, clock, scales, layers, own, terms)

    def onward(carry: Any) -> Any:
        left, own, scales, layers = carry
        own = jnp.minimum(own, left)
        short = reach_of(rate, clock.decay, own, jnp) <= farthest() / BEFORE_FAR
        reached = ~is_far | (short & (own < length))
        made, good = lax.cond(reached, by_stages, implicitly, scales, layers, own)
        layers = tuple(jnp.where(good, new, old) for new, old in zip(made, layers, strict=True))
        scales = jnp.where(good, scales * jnp.exp(chain.logs * own), scales)
        left = jnp.where(good, left - own, left)
        return left, jnp.where(good, own, own / 2), scales, layers

    begun = (length, length, scales, layers)
    return lax.while_loop(lambda carry: carry[0] > _LEFT * length, onward, begun)[3]


def far(
    chain: Chained,
    clock: Clock,
    scales: Float[Array, " L"],
    layers: Layers,
    length: Float[Array, ""],
    others: Layers,
) -> tuple[Layers, Bool[Array, ""]]:
    """Return the D_i a jump later, and whether the iteration has converged.

    Args:
        chain: What gradients read.
        clock: What a jump counts.
        scales: The c_i.
        layers: The D_i.
        length: In steps.
        others: w, by the clock.
    """
    straight, back = merged(chain, layers, scales)
    # By steps, as G is.
    extra = [w / clock.of_all[j] for j, w in enumerate(others)]
    losses = jnp.where(chain.logs < 0, -jnp.expm1(chain.logs), 1.0)

    def thetas(time: Any) -> Float[Array, " L"]:
        return jnp.where(chain.logs < 0, -jnp.expm1(chain.logs * time) / losses, time)

    def place_of(thin: Pairs, changes: Layers | None, time: Any) -> Place:
        return Place(straight, back, thin, jnp.ones(()), changes, time)

    def values(place: Place) -> list[Array]:
        return forward_rows(chain, place, jnp.exp(chain.logs * place.time))

    def pairs_of(place: Place, rows: list[Array], psi: Array, shares: Array, time: Any) -> Pairs:
        """Return what Psi adds by a time, as pairs; shares are theta_j over the largest."""
        last = chain.data_fit_scale * psi
        signals = backward_rows(chain, place, jnp.exp(chain.logs * place.time), last)
        factors = -chain.rates * shares * jnp.exp(-chain.logs * time)
        return [(factors[j] * b, f) for j, (b, f) in enumerate(zip(signals, rows, strict=False))]

    zero = jnp.zeros(())
    begun = place_of(nothing(layers), None, zero)
    first = values(begun)
    middle = jnp.max(thetas(length / float(np.mean(PARTS))))
    kernel = _kernel(chain, begun, first, thetas(length) / jnp.max(thetas(length)))
    inverse = _inverse(kernel + jnp.eye(len(kernel)) / middle)

    def solved(right: Array) -> Array:
        return multiply(inverse, right.reshape(-1, 1)).reshape(right.shape)

    def part(count: Any, number: Any, changes: Layers, psi: Array) -> Any:
        own = length / count
        theta, time = jnp.max(thetas(own)), own * (number + 1)
        shares = thetas(own) / theta
        here = place_of(nothing(layers), changes, own * number)
        thin = pairs_of(here, values(here), psi, shares, time)
        grown = thetas(own) * jnp.exp(-chain.logs * time)
        changes = tuple(e + grown[j] * extra[j] for j, e in enumerate(changes))

        def iterated(carry: Any) -> Any:
            times, thin, psi, _ = carry
            place = place_of(thin, changes, time)
            rows = values(place)
            apart = rows[-1] - chain.targets - psi / theta
            change = solved(apart)
            psi = psi + change
            ends = _norm(change) <= CONVERGED * _norm(psi)
            ends |= _norm(apart) <= ROUNDING * _norm(rows[-1])
            thin = pairs_of(place, rows, psi, shares, time)
            # What is no number ends it, too.
            return jnp.where(jnp.isfinite(_norm(psi)), times + 1, MOST), thin, psi, ends

        start = (jnp.zeros((), jnp.int64), thin, psi, jnp.zeros((), bool))
        _, thin, psi, ends = lax.while_loop(lambda c: (c[0] < MOST) & ~c[3], iterated, start)
        return tuple(e + outer(*pair) for e, pair in zip(changes, thin, strict=True)), psi, ends

    parts, weights = jnp.asarray(PARTS), jnp.asarray(WEIGHTS)
    still = tuple(jnp.zeros_like(layer) for layer in layers)

    def divided(which: Any, carry: Any) -> Any:
        summed, phi, good = carry
        count, weight = parts[which], weights[which]
        theta = jnp.max(thetas(length / count))

        def once(number: Any, carry: Any) -> Any:
            changes, psi, good = carry
            changes, psi, ends = part(count, number, changes, psi)
            return changes, psi, good & ends

        begun = (still, theta * (first[-1] - chain.targets), good)
        changes, psi, good = lax.fori_loop(jnp.zeros_like(count), count, once, begun)
        summed = tuple(s + weight * e for s, e in zip(summed, changes, strict=True))
        return summed, phi + weight * psi / theta, good

    start = (still, jnp.zeros_like(chain.targets), jnp.ones((), bool))
    changes, phi, good = lax.fori_loop(0, len(PARTS), divided, start)
    wanted, shares = chain.targets + phi, thetas(length) / jnp.max(thetas(length))
    enough = CONVERGED * _norm(phi) + ROUNDING * _norm(wanted)

    def brought(carry: Any) -> Any:
        times, before, wrong, changes = carry
        place = place_of(nothing(layers), changes, length)
        rows = values(place)
        apart = rows[-1] - wanted
        before, wrong = wrong, _norm(apart)
        # As near as rounding lets them.
        goes_on = (wrong > enough) & (wrong < before / 2)
        pairs = pairs_of(place, rows, solved(apart), shares, length)
        changes = tuple(
            jnp.where(goes_on, e + outer(*pair), e) for e, pair in zip(changes, pairs, strict=True)
        )
        return jnp.where(goes_on, times + 1, MOST), before, wrong, changes

    inf = jnp.full((), jnp.inf)
    begun = (jnp.zeros((), jnp.int64), inf, inf, changes)
    _, _, wrong, changes = lax.while_loop(lambda c: c[0] < MOST, brought, begun)
    faded = jnp.exp(chain.logs * length)
    made = tuple(faded[j] * (d + e) for j, (d, e) in enumerate(zip(layers, changes, strict=True)))
    return made, good & (wrong <= NEAR * _norm(wanted))


def _norm(matrix: Array) -> Array:
    return jnp.sqrt(jnp.sum(matrix**2))


def _kernel(
    chain: Chained, begun: Place, rows: list[Array], shares: Float[Array, " L"]
) -> Float[Array, "n n"]:
    """Return K, for rows Phi^T one after the other."""
    rank, outputs = chain.targets.shape
    factors = shares * chain.rates * chain.data_fit_scale
    back = backward_rows(chain, begun, jnp.ones_like(factors), jnp.eye(outputs))
    kernel = jnp.zeros((rank, outputs, rank, outputs))
    up, last = jnp.eye(outputs), len(begun.straight) - 1
    for j in range(last, -1, -1):
        passed = up if j == last else across(up, chain.mixed[j], back[j].shape[1])
        left, right = factors[j] * multiply(passed, back[j].T), multiply(rows[j], rows[j].T)
        kernel += right[:, None, :, None] * left[None, :, None, :]
        up = multiply(up, begun.straight[j])
    return kernel.reshape(rank * outputs, rank * outputs)


def _inverse(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Return the inverse by Gauss and Jordan, of what is nearly symmetric and positive.

    No library is called, which one compiled function may not; and no pivot is sought.
    """
    places = jnp.arange(len(matrix))

    def once(k: Any, made: Array) -> Array:
        here = places == k
        pivot = made[k, k]
        row = jnp.where(here, 1.0, made[k]) / pivot
        column = jnp.where(here, -1.0, made[:, k])
        rest = jnp.where(here[:, None] | here[None, :], 0.0, made)
        return rest - column[:, None] * row[None, :]

    return lax.fori_loop(0, len(matrix), once, matrix)
