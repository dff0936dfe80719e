"""What a hidden neuron makes of its input z, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Activation = Callable[[Float[Array, "k n"]], Float[Array, "k n"]]


def _linear(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    return z


def _tanh(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    return jnp.tanh(z)


def _relu(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    # max(z, 0); the derivative at 0 is 0.
    return jax.nn.relu(z)


def _gelu(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    # z Phi(z), with the normal distribution function itself and not its approximation by a tanh.
    from dlnsweep.numerics.elementary import gelu

    return gelu(z)


def _erf(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    # (2 / sqrt(pi)) int_0^z exp(-s^2) ds; Saad and Solla 1995 have erf(z / sqrt 2).
    from dlnsweep.numerics.elementary import erf

    return erf(z)


def _quadratic(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    return z**2


def _softplus(z: Float[Array, "k n"]) -> Float[Array, "k n"]:
    # log(1 + exp z)
    from dlnsweep.numerics.elementary import softplus

    return softplus(z)


ACTIVATIONS: dict[str, Activation] = {
    "linear": _linear,
    "tanh": _tanh,
    "relu": _relu,
    "gelu": _gelu,
    "erf": _erf,
    "quadratic": _quadratic,
    "softplus": _softplus,
}
