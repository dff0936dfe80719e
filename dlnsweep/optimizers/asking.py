"""Directions that ask for more than a gradient: the loss, the learning rate, random numbers.

With g the gradient of the step's objective f, decay included, and t = 0, 1, ... the step:

    polyak_sgd   min(max(f - f*, 0) / (||g||^2 + eps), gamma_b) g, all parameters as one vector
                 (Loizou, Vaswani, Laradji, Lacoste-Julien 2021, arXiv:2002.10542, SPS_max with
                 c = 1)
    noisy_sgd    g + sqrt(v (1 + t)^-gamma) Z(t), Z standard Gaussian and fresh
                 (Neelakantan et al. 2015, arXiv:1511.06807)
    fromage      a step of a layer is W <- (W - eta ||W|| / ||G|| G) / sqrt(1 + eta^2)
                 (Bernstein, Vahdat, Yue, Liu 2020, arXiv:2002.03432, Algorithm 1; as its authors'
                 code has it the ratio is 1 where a norm is 0), so that with s = sqrt(1 + eta^2)
                 the direction is ||W|| / ||G|| G / s + eta / (s (s + 1)) W

What they ask for is given to `update` by name; see `Optimizer.asks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.numerics.lazy import jax, jnp, optax

if TYPE_CHECKING:
    from optax import GradientTransformationExtraArgs


def _nothing(params: Any) -> Any:
    """Return the state of what keeps nothing."""
    del params
    return optax.EmptyState()


def scale_by_polyak(
    least_loss: Any, largest_rate: Any, epsilon: Any
) -> GradientTransformationExtraArgs:
    """Return polyak_sgd's direction.

    Args:
        least_loss: f*; at losses below it no step is made.
        largest_rate: gamma_b > 0.
        epsilon: eps >= 0; where the gradient is zero no step is made without it.
    """

    def update(updates: Any, state: Any, params: Any = None, **asked: Any) -> Any:
        del params
        value = asked["value"]
        square = sum(jnp.sum(g**2) for g in jax.tree.leaves(updates)) + epsilon
        gap = jnp.maximum(value - least_loss, 0)
        # A square may underflow, where the quotient is beyond all bounds.
        rate = jnp.where(square > 0, gap / jnp.where(square > 0, square, 1), largest_rate)
        rate = jnp.minimum(rate, largest_rate)
        return jax.tree.map(lambda g: rate * g, updates), state

    return optax.GradientTransformationExtraArgs(_nothing, update)


def add_noise(variance: Any, decay: Any) -> GradientTransformationExtraArgs:
    """Return noisy_sgd's direction.

    The noise of an entry depends on the run's seed, the step, the leaf's place in the tree and the
    entry's two counters alone: the last axis, and all others together. Its state is the step.

    Args:
        variance: v >= 0.
        decay: gamma >= 0.
    """

    def init(params: Any) -> Any:
        del params
        return jnp.zeros((), jnp.int64)

    def update(updates: Any, state: Any, params: Any = None, **asked: Any) -> Any:
        del params
        # What draws needs NumPy, and settings are read without.
        from dlnsweep.numerics.streams import gaussian, step_keys

        of_leaf = step_keys(asked["key"], state)
        time = (state + 1).astype(jnp.float64)
        size = jnp.sqrt(variance * time**-decay)

        def noisy(place: Any, gradient: Any) -> Any:
            columns = gradient.shape[-1] if gradient.ndim > 1 else 1
            rows = gradient.size // columns if columns else 0
            drawn = gaussian(of_leaf(jax.tree_util.keystr(place)), rows, columns)
            return gradient + (size * drawn.reshape(gradient.shape)).astype(gradient.dtype)

        return jax.tree_util.tree_map_with_path(noisy, updates), state + 1

    return optax.GradientTransformationExtraArgs(init, update)


def scale_by_fromage() -> GradientTransformationExtraArgs:
    """Return fromage's direction; layers are the leaves of the tree."""

    def update(updates: Any, state: Any, params: Any = None, **asked: Any) -> Any:

        def direction(gradient: Any, own: Any, rate: Any) -> Any:
            eta = rate.astype(gradient.dtype)
            size, norm = (jnp.sqrt(jnp.sum(x**2)) for x in (own, gradient))
            both = (size > 0) & (norm > 0)
            ratio = jnp.where(both, size / jnp.where(both, norm, 1), 1)
            root = jnp.sqrt(1 + eta**2)
            return ratio / root * gradient + eta / (root * (root + 1)) * own

        return jax.tree.map(direction, updates, params, asked["rates"]), state

    return optax.GradientTransformationExtraArgs(_nothing, update)
