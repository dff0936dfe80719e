"""In-context linear regression: a prompt of examples, and a query (as in arXiv:2501.16265).

x_1, ..., x_N, x_q (D)    independent, entry j is N(0, j^(-p)), p the covariance's power
w (D)                     independent entries N(0, 1), another one for each prompt
y_n                       w . x_n
target                    y_q = w . x_q

representation "prompt"   the inputs are x_1, y_1, x_2, y_2, ..., x_N, y_N, x_q, one under the other
               "cubic"    the inputs are z = (1/N) sum_n y_n x_n x_q^T, row by row (D^2). Linear
                          attention with merged keys and queries is sum_h v_h <U_h, z>: a deep
                          linear network of depth 2 on z, a hidden unit a head
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import NonNegative, One
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

_LARGEST = 2**31 - 1


def num_inputs(input_dim: int, context_length: int, representation: str) -> int:
    """Return the number of inputs of a sample."""
    if representation == "cubic":
        return input_dim**2
    return context_length * (input_dim + 1) + input_dim


class IclRegressionSettings(Settings):
    """[problem] kind = "icl_regression": linear regression in context, a prompt a sample."""

    kind: Annotated[Literal["icl_regression"], Describe("static", "which problem", axis=False)] = (
        "icl_regression"
    )
    input_dim: Annotated[Dimension, Describe("static", "dimension of x", "D")]
    context_length: Annotated[Dimension, Describe("static", "examples of a prompt", "N")]
    num_samples: Annotated[Dimension, Describe("static", "number of training prompts", "n")]
    covariance_power: Annotated[
        NonNegative, Describe("traced", "coordinate j of x has variance j^-p", "p")
    ] = 0.0
    representation: Annotated[
        Literal["prompt", "cubic"],
        Describe(
            "static",
            "prompt: x_1, y_1, ..., x_N, y_N, x_q; cubic: (1/N) Σ y_n x_n x_qᵀ, in which merged "
            "linear attention is a deep linear network of depth 2",
        ),
    ] = "prompt"
    measurement_dim: Annotated[
        Dimension, Describe("static", "number of inputs, N (D + 1) + D or D²", "m")
    ]
    signal_dim: Annotated[One, Describe("static", "number of targets, which is one", "d")] = 1

    follows: ClassVar[Mapping[str, Follows]] = {
        "measurement_dim": Follows(("input_dim", "context_length", "representation"), num_inputs)
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("none"),
        Constraint(
            ("problem.input_dim", "problem.context_length", "problem.representation"),
            lambda *sizes: num_inputs(*sizes) <= _LARGEST,
            "problem.input_dim is {0} and problem.context_length is {1}; a sample must have fewer "
            "than 2^31 inputs.",
        ),
    )


def draw(
    settings: IclRegressionSettings, key: Keys
) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the targets y_q and the prompts.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return stream(settings, None, key, settings.num_samples)


def common(settings: IclRegressionSettings, key: Keys) -> None:
    """Return that prompts have nothing in common."""
    del settings, key


def stream(
    settings: IclRegressionSettings, shared: None, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw training targets and prompts."""
    del shared
    return _prompts(settings, key, ("data/signals", "data/weights"), count)


def draw_test(
    settings: IclRegressionSettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh targets and prompts."""
    return _prompts(settings, key, ("test/signals", "test/members"), count)


def _prompts(
    settings: IclRegressionSettings, key: Keys, purposes: tuple[str, str], count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.streams import gaussian

    size, length = settings.input_dim, settings.context_length
    drawn = gaussian(key(purposes[0]), (length + 1) * size, count)
    places = jnp.arange(1, size + 1, dtype=jnp.float64)
    deviations = places ** (-0.5 * settings.covariance_power)
    points = deviations[:, None] * drawn.reshape(length + 1, size, count)
    task = gaussian(key(purposes[1]), size, count)
    values = jnp.sum(task * points, axis=1, keepdims=True)
    examples, query = points[:-1], points[-1]
    if settings.representation == "cubic":
        mean = jnp.mean(values[:-1] * examples, axis=0)
        return values[-1], (mean[:, None] * query[None]).reshape(size * size, count)
    pairs = jnp.concatenate([examples, values[:-1]], axis=1).reshape(-1, count)
    return values[-1], jnp.concatenate([pairs, query])
