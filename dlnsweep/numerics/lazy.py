"""JAX and its relatives, imported when first used.

Settings must be readable without JAX (`dlnsweep check` answers in under 0.4 s), and stand in the
same file as the code that draws and computes. `from dlnsweep.lazy import jax, jnp` gives both.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax
else:

    class _LazyModule(ModuleType):
        def __getattr__(self, name: str) -> Any:
            value = getattr(importlib.import_module(self.__name__), name)
            setattr(self, name, value)
            return value

    jax = _LazyModule("jax")
    jnp = _LazyModule("jax.numpy")
    lax = _LazyModule("jax.lax")
    optax = _LazyModule("optax")

__all__ = ["jax", "jnp", "lax", "optax"]
