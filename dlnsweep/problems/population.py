"""Infinitely many Gaussian inputs, and a two-layer teacher that says what they mean.

x (d)            independent entries N(0, 1)
v_1, ..., v_M    the teacher's neurons: "orthonormal", or "gaussian" with independent entries
                 N(0, 1/d)
y = rho sum_m s(v_m . x) + tau e,    e ~ N(0, 1)

s is the student's activation, rho `teacher_scale`, tau `output_noise`. Nothing of d dimensions is
ever drawn: gradient descent on the expected loss stays in the span of the students' and teachers'
vectors (`networks/population`), so that V is drawn as its coordinates in a basis, V Q with
V Q Q^T = V, whose law is known for every d: of M Gaussian vectors it is Bartlett's lower triangle
L, L_ii^2 ~ chi^2(d - i + 1) and L_ij ~ N(0, 1) below the diagonal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint, Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

TASK = "population"
# Whole numbers up to here are exact in float64.
_MOST = 10**15


class PopulationSettings(Settings):
    """[problem] kind = "population": E over x ~ N(0, I_d), and a two-layer teacher."""

    kind: Annotated[Literal["population"], Describe("static", "which problem", axis=False)] = (
        "population"
    )
    input_dim: Annotated[
        Annotated[float, Field(ge=2, le=_MOST)],
        Describe("traced", "dimension of the inputs, a whole number; it costs nothing", "d"),
    ]
    num_teacher_neurons: Annotated[
        Annotated[int, Field(ge=1, le=1000)],
        Describe("static", "number of neurons of the teacher", "M"),
    ] = 3
    teacher_directions: Annotated[
        Literal["orthonormal", "gaussian"],
        Describe("static", "the teacher's vectors; gaussian: independent entries N(0, 1/d)"),
    ] = "orthonormal"
    teacher_scale: Annotated[
        Annotated[float, Field(gt=0)],
        Describe("traced", "readout of each neuron of the teacher", "ρ", idle=1.0),
    ] = 1.0
    output_noise: Annotated[
        Annotated[float, Field(ge=0)],
        Describe("traced", "standard deviation of the noise on targets", "τ"),
    ] = 0.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.input_dim",),
            lambda size: size == int(size),
            "problem.input_dim is {0}; it must be a whole number.",
        ),
    )


class Teacher(NamedTuple):
    """A two-layer network in coordinates, and what its targets have beside it.

    Attributes:
        neurons: V, in the first M of the coordinates.
        readouts: rho, M times.
        noise: tau.
    """

    neurons: Float[Array, "M M"]
    readouts: Float[Array, " M"]
    noise: Float[Array, ""]


def draw(settings: PopulationSettings, key: Keys) -> Teacher:
    """Draw the teacher, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.streams import bartlett

    count = settings.num_teacher_neurons
    if settings.teacher_directions == "orthonormal":
        neurons = jnp.eye(count, dtype=jnp.float64)
    else:
        size = jnp.asarray(settings.input_dim, jnp.float64)
        purposes = key("data/teacher"), key("data/teacher_chi")
        neurons = bartlett(*purposes, count, size) / size**0.5
    scale = jnp.asarray(settings.teacher_scale, jnp.float64)
    return Teacher(neurons, jnp.full(count, scale), jnp.asarray(settings.output_noise, jnp.float64))
