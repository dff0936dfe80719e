"""Regression of one number with the loss (1/p) mean |w.x - y|^p (arXiv:1802.06509, section 5).

synthetic    inputs X = P diag(sigma) Q^T sqrt(n) with Haar frames P (m, m) and Q (n, m), sigma
             from 1 to 1/kappa, equally spaced on a logarithmic axis; y = w.x + noise, w Gaussian,
             scaled so that w.x has mean square 1
gas_sensor   the ethanol measurements of a file of the user's own; see gas_sensor.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems import gas_sensor
from dlnsweep.problems.matrices import Dimension
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy

if TYPE_CHECKING:
    from dlnsweep.numerics.streams import Keys
    from dlnsweep.problems.losses import Fit


class RegressionSettings(Settings):
    """[problem] kind = "regression"."""

    kind: Annotated[Literal["regression"], Describe("static", "which problem", axis=False)] = (
        "regression"
    )
    power: Annotated[
        Annotated[float, Field(ge=1, le=16)],
        Describe("static", "exponent of the loss (1/p) mean |w.x - y|^p", "p"),
    ] = 2.0
    data: Annotated[
        Literal["synthetic", "gas_sensor"],
        Describe(
            "static", "synthetic: drawn; gas_sensor: the ethanol data of data_file", axis=False
        ),
    ] = "synthetic"
    num_inputs: Annotated[Dimension, Describe("static", "number of inputs (synthetic)", "m")] = 128
    num_samples: Annotated[Dimension, Describe("static", "number of samples (synthetic)", "n")] = (
        1000
    )
    condition_number: Annotated[
        Annotated[float, Field(ge=1)],
        Describe("traced", "condition number of the inputs (synthetic)", "κ"),
    ] = 100.0
    noise: Annotated[
        Annotated[float, Field(ge=0)],
        Describe("traced", "standard deviation of the noise on y (synthetic)", "σ"),
    ] = 0.0
    data_file: Annotated[
        str,
        Describe(
            "static", "the UCI gas-sensor batches, concatenated, as text; their content counts"
        ),
    ] = ""

    used_by: ClassVar[Mapping[str, UsedBy]] = {
        **{
            key: UsedBy("data", ("synthetic",))
            for key in ("num_inputs", "num_samples", "condition_number", "noise")
        },
        "data_file": UsedBy("data", ("gas_sensor",), needed=True),
    }
    resolvers: ClassVar[Mapping[str, Any]] = {"data_file": gas_sensor.resolve_file}
    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.data", "problem.num_inputs", "problem.num_samples"),
            lambda data, m, n: data != "synthetic" or m <= n,
            "problem.num_inputs is {1}; it must not exceed problem.num_samples, which is {2}.",
        ),
    )


def ends(settings: RegressionSettings) -> tuple[int, int]:
    """Return the sizes of the network's input and output, m and 1."""
    real = settings.data == "gas_sensor"
    return (gas_sensor.NUM_FEATURES if real else settings.num_inputs), 1


def num_samples(settings: RegressionSettings) -> int:
    """Return the number of samples."""
    if settings.data == "gas_sensor":
        return len(gas_sensor.read_file(settings.data_file).concentrations)
    return settings.num_samples


def draw(settings: RegressionSettings, key: Keys) -> Fit:
    """Draw the samples, or read them, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.problems.losses import Fit, Samples

    weights = None
    if settings.data == "gas_sensor":
        known = gas_sensor.read_file(settings.data_file)
        inputs, outputs = jnp.asarray(known.features.T), jnp.asarray(known.concentrations[None])
    else:
        inputs, outputs, weights = _synthetic(settings, key)
    # The mean over samples of |r|^p, divided by p by the loss itself.
    scale = jnp.asarray(1.0 / outputs.shape[1], jnp.float64)
    return Fit(Samples(inputs, outputs), scale, weights)


def _synthetic(settings: RegressionSettings, key: Keys) -> tuple[Any, Any, Any]:
    """Return the inputs (m, n), the outputs (1, n) and the weights w (1, m)."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian, haar

    m, n = settings.num_inputs, settings.num_samples
    places = jnp.linspace(0.0, 1.0, m, dtype=jnp.float64)
    values = jnp.asarray(settings.condition_number, jnp.float64) ** -places
    frames = haar(key("data/left"), m, m), haar(key("data/rows"), n, m)
    inputs = multiply(frames[0] * values, frames[1].T) * n**0.5
    weights = gaussian(key("data/weights"), 1, m)
    clean = multiply(weights, inputs)
    size = jnp.sqrt(jnp.mean(clean**2))
    outputs = clean / size + settings.noise * gaussian(key("data/noise"), 1, n)
    return inputs, outputs, weights / size
