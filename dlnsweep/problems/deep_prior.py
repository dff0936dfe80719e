"""One signal from few measurements, to be found by an untrained network (arXiv:2403.05395).

    y = A x + e,      minimise L_y(A g(u, theta)) over theta,

A (m, n)   a measurement operator: one of operators.py, or "conditioned": Haar singular vectors and
           singular values equally spaced in the logarithm from kappa to 1, scaled to ||A||_F^2 = n
x (n)      the signal: "gaussian" has entries N(0, 1); "network" is g(u, theta') of the same network
           with independent weights theta', so that the network can represent it
e (m)      independent entries N(0, noise_level^2)
L_y(v)     with r = v - y: "half_squared" ||r||^2 / 2; "power" sum |r_i|^p / p;
           "cross_entropy" sum_i softplus(v_i) - softplus(y_i) - s(y_i) r_i, with the logistic
           function s: the binary cross-entropy of the labels s(y_i) less its least value.

The experiment sections of the paper were not at hand: these choices are ours. L_y is zero at v = y
alone. It has the Kurdyka-Lojasiewicz property psi'(L) ||grad L|| >= 1 (derived) with psi(L) =
sqrt(2 L) for "half_squared" and m^(1/2 - 1/p) (p L)^(1/p) for "power", by the inequality of norms
||r||_{2p-2} >= m^(1/(2p-2) - 1/p) ||r||_p for p >= 2. For "cross_entropy" it holds on bounded sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.operators import Dimension, MeasurementSettings, draw_operator
from dlnsweep.settings.base import Describe, UsedBy

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

    from dlnsweep.numerics.streams import Keys

# Operators that can be drawn inside larger, zero-padded arrays.
PADDABLE = ("gaussian", "random_signs", "conditioned")


class DeepPriorSettings(MeasurementSettings):
    """[problem] kind = "deep_prior"."""

    kind: Annotated[Literal["deep_prior"], Describe("static", "which problem", axis=False)] = (
        "deep_prior"
    )
    signal_dim: Annotated[Dimension, Describe("static", "dimension of the signal", "n")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of measurements", "m")]
    operator: Annotated[  # pyright: ignore[reportIncompatibleVariableOverride]
        Literal["gaussian", "random_signs", "conditioned", "dct", "blur", "file"],
        Describe("static", "which measurement operator, scaled to E|Ax|² = |x|²", "A"),
    ] = "gaussian"
    condition_number: Annotated[
        Annotated[float, Field(ge=1)],
        Describe("traced", "largest over smallest singular value of A (conditioned)", "κ"),
    ] = 1.0
    signal: Annotated[
        Literal["gaussian", "network"],
        Describe("static", "gaussian: entries N(0, 1); network: what the network can represent"),
    ] = "gaussian"
    noise_level: Annotated[
        Annotated[float, Field(ge=0)],
        Describe("traced", "standard deviation of the noise on each measurement", "σ"),
    ] = 0.0
    loss: Annotated[
        Literal["half_squared", "power", "cross_entropy"],
        Describe("static", "what is minimised; power: sum |r|^p / p"),
    ] = "half_squared"
    loss_power: Annotated[
        Annotated[float, Field(ge=2, le=100)], Describe("traced", "exponent of the loss", "p")
    ] = 4.0

    used_by: ClassVar[Mapping[str, UsedBy]] = {
        **MeasurementSettings.used_by,
        "condition_number": UsedBy("operator", ("conditioned",), needed=True),
        "loss_power": UsedBy("loss", ("power",)),
    }


class Draw(NamedTuple):
    """What a run draws of its problem, in zero-padded arrays.

    Attributes:
        operator: A.
        signal: A standard Gaussian x.
        noise: Standard Gaussian noise.
    """

    operator: Float[Array, "m n"]
    signal: Float[Array, " n"]
    noise: Float[Array, " m"]


def draw(
    settings: DeepPriorSettings, key: Keys, sizes: tuple[Any, Any], room: tuple[int, int]
) -> Draw:
    """Draw operator, signal and unit noise, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
        sizes: m and n, which may be tracers.
        room: The sizes of the arrays; beyond m and n they are zero.
    """
    from dlnsweep.numerics.streams import gaussian

    (m, n), (rows, columns) = sizes, room
    inside = (jnp.arange(rows) < m)[:, None] & (jnp.arange(columns) < n)
    if settings.operator in PADDABLE:
        entries = jnp.where(inside, gaussian(key("data/operator"), rows, columns), 0.0)
        operator = _operator(settings, entries, m, n)
    else:
        operator = draw_operator(settings, key)
    signal = jnp.where(jnp.arange(columns) < n, gaussian(key("data/signal"), columns, 1)[:, 0], 0.0)
    noise = jnp.where(jnp.arange(rows) < m, gaussian(key("data/noise"), rows, 1)[:, 0], 0.0)
    return Draw(operator, signal, noise)


def _operator(
    settings: DeepPriorSettings,
    entries: Float[Array, "m n"],
    m: Int[Array, ""] | int,
    n: Int[Array, ""] | int,
) -> Float[Array, "m n"]:
    """Return the operator that is made of masked Gaussian entries."""
    from dlnsweep.numerics.products import multiply

    if settings.operator == "gaussian":
        return entries / jnp.sqrt(m)
    if settings.operator == "random_signs":
        return jnp.sign(entries) / jnp.sqrt(m)
    left, _, right = jnp.linalg.svd(entries, full_matrices=False)
    # Singular vectors of the padding come last, and are left out.
    place = jnp.arange(left.shape[1], dtype=jnp.float64)
    share = place / jnp.maximum(jnp.asarray(m, jnp.float64) - 1, 1)
    values = jnp.where(place < m, jnp.asarray(settings.condition_number) ** -share, 0.0)
    values = values * jnp.sqrt(n / jnp.sum(values**2))
    return multiply(left * values, right)
