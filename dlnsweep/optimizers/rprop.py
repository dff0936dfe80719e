"""Rprop: an entry's steps go by the signs of its gradients alone.

With g(t) an entry's gradient, delta(0) = 1 and h(0) = 0, t = 1, 2, ... (Riedmiller and Braun 1993;
without going back, and with no step, where a sign changes: iRprop- of Igel and Huesken 2000)

    g(t) h(t-1) > 0    delta(t) = min(grow delta(t-1), most),      h(t) = g(t)
    g(t) h(t-1) < 0    delta(t) = max(shrink delta(t-1), least),   h(t) = 0
    else               delta(t) = delta(t-1),                      h(t) = g(t)
    direction(t) = sign(h(t)) delta(t)

so that all steps are told in learning rates. It is not optax's `scale_by_rprop`, which (in 0.2.8)
returns the step before, zero at first, in place of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.numerics.lazy import jax, jnp, optax

if TYPE_CHECKING:
    from optax import GradientTransformation


class RpropState(NamedTuple):
    """The state of `scale_by_rprop`.

    Attributes:
        sizes: delta of each entry.
        signs: The sign of h of each entry.
    """

    sizes: Any
    signs: Any


def scale_by_rprop(shrink: Any, grow: Any, least: Any, most: Any) -> GradientTransformation:
    """Return the direction at the head of this file.

    Args:
        shrink: In (0, 1).
        grow: > 1.
        least: In (0, 1].
        most: >= 1.
    """

    def init(params: Any) -> Any:
        return RpropState(jax.tree.map(jnp.ones_like, params), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params
        same = jax.tree.map(lambda g, last: jnp.sign(g) * last, updates, state.signs)

        def sized(size: Any, same: Any) -> Any:
            smaller, larger = jnp.maximum(shrink * size, least), jnp.minimum(grow * size, most)
            return jnp.where(same > 0, larger, jnp.where(same < 0, smaller, size))

        sizes = jax.tree.map(sized, state.sizes, same)
        signs = jax.tree.map(lambda g, same: jnp.where(same < 0, 0, jnp.sign(g)), updates, same)
        found = jax.tree.map(lambda size, sign: size * sign, sizes, signs)
        return found, RpropState(sizes, signs)

    return optax.GradientTransformation(init, update)
