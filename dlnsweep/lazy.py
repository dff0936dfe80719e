"""JAX when it is first used, for problems of one's own; see `numerics/lazy.py`."""

from dlnsweep.numerics.lazy import jax, jnp, lax, optax

__all__ = ["jax", "jnp", "lax", "optax"]
