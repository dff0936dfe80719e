"""The state of a network of any kind, as observables see it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from dlnsweep.numerics.lazy import jnp


class Landscape(NamedTuple):
    """What gradient descent moves on: a point, a function of it, and how far each entry is moved.

    Attributes:
        point: The parameters, any pytree of arrays.
        objective: F, what training makes small, as a function of such parameters.
        rates: For each leaf its learning rate over eta, a number or an array that its entries are
            multiplied by; 0 where nothing moves, as in rows that only fill an array up.
    """

    point: Any
    objective: Callable[[Any], Float[Array, ""]]
    rates: Any


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

    @cached_property
    def shared(self) -> dict[str, Any]:
        """What one observable has computed and another one needs, by a name."""
        return {}

    @property
    def left_out(self) -> list[tuple[Any, Any]]:
        """Curvatures along the directions that `landscape` leaves out.

        Eigenvalues of R^(1/2) H R^(1/2), R the learning rates over eta, with how many times each
        comes, a number.
        """
        return []

    @cached_property
    def landscape(self) -> Landscape:
        """The loss as a function of all parameters, for its Hessian."""
        raise NotImplementedError
