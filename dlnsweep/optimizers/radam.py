"""RAdam: Adam whose steps begin without the second moment, until its variance is known.

With g the gradient, m(0) = v(0) = 0, t = 1, 2, ... and r_oo = 2 / (1 - beta2) - 1 (Liu et al. 2019,
arXiv:1908.03265, Algorithm 2, with the threshold 5 of its authors' code)

    m(t) = beta1 m(t-1) + (1 - beta1) g,      m^ = m(t) / (1 - beta1^t)
    v(t) = beta2 v(t-1) + (1 - beta2) g^2,    v^ = v(t) / (1 - beta2^t)
    r(t) = r_oo - 2 t beta2^t / (1 - beta2^t)
    direction(t) = m^                                                              r(t) < 5
                   m^ / (sqrt(v^) + eps) sqrt((r - 4) (r - 2) r_oo / ((r_oo - 4) (r_oo - 2) r))

Its numbers of steps are made in float64 whatever the parameters are. It is not optax's
`scale_by_radam` because that has them in the parameters' precision, where r(t), about t at first,
is a difference of two numbers of 2 / (1 - beta2): in float32 directions are wrong by 4e-3 at
beta2 = 0.999, and at 0.9999 the second moment comes in at steps at which it must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.numerics.lazy import jax, jnp, optax

if TYPE_CHECKING:
    from optax import GradientTransformation

_LEAST_LENGTH = 5.0


def scale_by_radam(b1: Any, b2: Any, epsilon: Any) -> GradientTransformation:
    """Return the direction at the head of this file.

    Args:
        b1: beta1 in [0, 1).
        b2: beta2 in [0, 1).
        epsilon: eps > 0.
    """

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params
        steps: Any = optax.safe_increment(state.count)
        averages = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        squares = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.nu, updates)
        first, second = (_known_share(decay, steps) for decay in (b1, b2))
        longest = 2 / (1 - _wide(b2)) - 1
        length = longest - 2 * (1 - second) / second * steps
        known = length >= _LEAST_LENGTH
        # Where it is not known, anything that has a root.
        safe = jnp.where(known, length, longest)
        share = (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)
        root = jnp.sqrt(jnp.where(known, share, 1.0))

        def direction(average: Any, square: Any) -> Any:
            plain = average / first.astype(average.dtype)
            scale = jnp.sqrt(square / second.astype(square.dtype)) + epsilon
            return jnp.where(known, root.astype(average.dtype) * plain / scale, plain)

        found = jax.tree.map(direction, averages, squares)
        return found, optax.ScaleByAdamState(steps, averages, squares)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def _wide(number: Any) -> Any:
    return jnp.asarray(number).astype(jnp.float64)


def _known_share(decay: Any, steps: Any) -> Any:
    """Return 1 - decay^steps to full relative precision, float64."""
    return -jnp.expm1(steps * jnp.log1p(_wide(decay) - 1))
