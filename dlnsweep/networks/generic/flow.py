"""Gradient flow: between two steps the parameters follow the gradient, by an adaptive integrator.

With R the learning rates, c the data-fit scale, D the weight decays and L the loss,

    d theta / ds = -R (c grad L(theta) + D theta),    s from 0 to 1 in each step,

so that the parameters of step t are those of gradient flow at time eta t, whatever eta is: there is
no limit of stability. `training.flow_tolerance` bounds what Tsitouras' method of order 5 (2011) may
be wrong by in a substep, by its embedded estimate and in the root mean square over all parameters,
relative to that of the parameters themselves where the step begins (of all zero, of their change).
The integrator is diffrax's (Kidger 2021, arXiv:2202.02435). A step begins with substeps of the mean
length of the last step's, which is the only thing that is kept between them: so where a run is
stopped and resumed does not matter.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Bool, Float

from dlnsweep.errors import RunError
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.vectors import flat

# Substeps of a step. A run that needs more has met what no explicit method follows: it diverges.
MOST_SUBSTEPS = 100_000


def begun() -> Float[Array, ""]:
    """Return the length of the first substep, as a share of a step."""
    return jnp.ones((), jnp.float64)


def moved(
    velocity: Callable[[Any], Any],
    params: Any,
    length: Float[Array, ""],
    tolerance: Float[Array, ""],
    active: Bool[Array, ""],
) -> tuple[Any, Float[Array, ""]]:
    """Return the parameters after a step, and the mean length of its substeps.

    Parameters that cannot be integrated so far are not finite.

    Args:
        velocity: Takes parameters; returns their derivatives by s.
        params: The parameters before it.
        length: That of the first substep.
        tolerance: The local error, relative.
        active: Whether the run goes on. What has ended takes one substep, of nothing: runs beside
            it would wait for each of its own.

    Raises:
        RunError: diffrax is missing.
    """
    diffrax = _integrators()

    def field(_: Any, params: Any, __: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.where(active, leaf, 0.0), velocity(params))

    params = jax.tree.map(lambda leaf: jnp.where(active, leaf, 0.0), params)
    size = _root_mean_square(params)
    size = jnp.where(size > 0, size, _root_mean_square(field(0.0, params, None)))
    # Where nothing moves any tolerance is met, but none of zero.
    size = jnp.where(size > 0, size, 1.0)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=1.0,
        dt0=jnp.where(active, length, begun()),
        y0=params,
        stepsize_controller=diffrax.PIDController(0.0, tolerance * size, norm=_error),
        # It is not differentiated.
        adjoint=diffrax.ForwardMode(),
        max_steps=MOST_SUBSTEPS,
        throw=False,
    )
    arrived = solution.result == diffrax.RESULTS.successful
    after = jax.tree.map(lambda leaf: jnp.where(arrived, leaf[-1], jnp.nan), solution.ys)
    taken = jnp.maximum(solution.stats["num_accepted_steps"], 1)
    return after, 1 / taken.astype(jnp.float64)


def _root_mean_square(tree: Any) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(flat(tree) ** 2))


def _error(tree: Any) -> Float[Array, ""]:
    """Return that of an error; infinite where a substep has overflown, so that it is shortened."""
    size = _root_mean_square(tree)
    return jnp.where(jnp.isnan(size), jnp.inf, size)


def _integrators() -> Any:
    """Return diffrax, which is imported when first used."""
    if importlib.util.find_spec("diffrax") is None:
        raise RunError(
            "training.flow_tolerance is given, and gradient flow needs diffrax: install it (pip "
            "install 'dlnsweep[flow]'), or leave it out."
        )
    import diffrax

    return diffrax
