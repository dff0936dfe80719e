"""JAX and its relatives, imported when first used.

Settings must be readable without JAX (`dlnsweep check` answers in under 0.4 s), and stand in the
same file as the code that draws and computes. `from dlnsweep.lazy import jax, jnp` gives both.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """A module that is imported when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax
else:
    jax = LazyModule("jax")
    jnp = LazyModule("jax.numpy")
    lax = LazyModule("jax.lax")
    optax = LazyModule("optax")

__all__ = ["LazyModule", "jax", "jnp", "lax", "optax"]
