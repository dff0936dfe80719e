"""The state of a network of any kind, as observables see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jaxtyping import Array, Float, Int

from dlnsweep.numerics.lazy import jnp


class View:
    """The state of one network of any kind, as observables see it; computed on first use.

    Under `jit` only what an asked-for observable uses is compiled, so an observable that is not
    asked for costs nothing.

    Attributes:
        step: The step that the state is of, where it is observed.
    """

    step: Int[Array, ""]

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        raise NotImplementedError

    @cached_property
    def residual(self) -> Float[Array, "..."]:
        """What the network is to make zero."""
        raise NotImplementedError

    @cached_property
    def squared_residual(self) -> Float[Array, ""]:
        """The sum of its squares, by which a run has diverged; see `divergence.py`."""
        return jnp.sum(self.residual**2)

    @cached_property
    def loss(self) -> Float[Array, ""]:
        """What training makes small."""
        raise NotImplementedError

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """Sum over layers of the squared Frobenius norm of the loss's gradient, decay included."""
        raise NotImplementedError
