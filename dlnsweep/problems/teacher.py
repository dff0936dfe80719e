"""A two-layer teacher of Gaussian inputs (ReLU: as in Kunin et al. 2024, arXiv:2406.06158).

y_i (m)                inputs = "gaussian": independent entries N(0, 1/n) for relu, N(0, 1) for
                       the others; "sphere": uniform on the sphere of radius 1; "law": as gaussian,
                       but known by coordinates only (by_law.py)
u_1, ..., u_K (m)      independent, uniform on the sphere of radius 1
c_1, ..., c_K (d)      independent entries of random signs
x_i = rho sum_k c_k s(u_k . y_i) / sqrt(K) + tau e_i

relu         s(z) = max(z, 0)
tanh         s(z) = tanh(z)
erf          s(z) = erf(z / sqrt(2)), as in Saad and Solla 1995
quadratic    s(z) = z^2

rho is `teacher_scale`. e_i has independent entries of the variance of the inputs', tau is
`output_noise`; test targets have none. The inputs are what a network is given, so they stand for
the measurements Y (m, n), and the targets for the signals X (d, n).

A ReLU network without biases is homogeneous, so that the scale 1 / sqrt(n) of all inputs makes
||W Y - X||_F^2 the mean over samples of standard Gaussian inputs; for the other activations
training.data_fit_scale = 1 / n, or a loss that is a mean, does so.

The paper's code has three neurons, readouts of -1 and 1 (here rho = sqrt(K)), inputs of norm 1 and
the mean of squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.activations import activated
from dlnsweep.problems.by_law import CONSTRAINTS, InputDimension, coordinates
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.settings.base import Constraint, Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys, Words

_Count = Annotated[int, Field(ge=1, le=10_000)]


class TeacherSettings(Settings):
    """[problem] kind = "teacher"."""

    kind: Annotated[Literal["teacher"], Describe("static", "which problem", axis=False)] = "teacher"
    signal_dim: Annotated[Dimension, Describe("static", "number of outputs of the teacher", "d")]
    measurement_dim: Annotated[
        InputDimension,
        Describe("static", "number of inputs; by their law it is traced, and free", "m"),
    ]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    num_teacher_neurons: Annotated[
        _Count, Describe("static", "number of neurons of the teacher", "K")
    ] = 3
    teacher_activation: Annotated[
        Literal["relu", "tanh", "erf", "quadratic"],
        Describe("static", "the teacher's activation; erf: erf(z / √2)"),
    ] = "relu"
    inputs: Annotated[
        Literal["gaussian", "sphere", "law"],
        Describe(
            "static",
            "the law of the inputs; sphere: uniform, of norm 1; law: gaussian, in any number of "
            'dimensions, which are not drawn (sweep.kernel = "reduced_inputs", or "auto")',
        ),
    ] = "gaussian"
    teacher_scale: Annotated[
        Annotated[float, Field(gt=0)],
        Describe("traced", "factor on the teacher's outputs; √K undoes their 1/√K", "ρ", idle=1.0),
    ] = 1.0
    output_noise: Annotated[
        Annotated[float, Field(ge=0)],
        Describe(
            "traced",
            "standard deviation of the noise on training targets, relative to an input's",
            "τ",
        ),
    ] = 0.0

    constraints: ClassVar[tuple[Constraint, ...]] = (loss_fits("none"), *CONSTRAINTS)


def rank(settings: TeacherSettings) -> int:
    """Return the rank of Y: min(m, n), with probability 1."""
    return min(settings.measurement_dim, settings.num_samples)


def draw(settings: TeacherSettings, key: Keys) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the training targets X and inputs Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return stream(settings, common(settings, key), key, settings.num_samples)


def common(settings: TeacherSettings, key: Keys) -> tuple[Float[Array, "m K"], Float[Array, "d K"]]:
    """Draw the teacher: the neurons' directions u and signs c."""
    from dlnsweep.numerics.streams import gaussian

    neurons = settings.num_teacher_neurons
    directions = gaussian(key("data/teacher"), settings.measurement_dim, neurons)
    return directions / jnp.linalg.norm(directions, axis=0), _signs(settings, key)


def _signs(settings: TeacherSettings, key: Keys) -> Float[Array, "d K"]:
    from dlnsweep.numerics.streams import gaussian

    d, neurons = settings.signal_dim, settings.num_teacher_neurons
    return jnp.where(gaussian(key("data/teacher_signs"), d, neurons) < 0, -1.0, 1.0)


def stream(
    settings: TeacherSettings,
    teacher: tuple[Float[Array, "m K"], Float[Array, "d K"]],
    key: Keys,
    count: int,
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw training inputs, of the size that the settings' n gives them, and their targets."""
    samples = settings.num_samples if _scaled(settings) else 1
    targets, inputs = _taught(settings, teacher, key("data/signals"), count, samples)
    entries = settings.measurement_dim if settings.inputs == "sphere" else samples
    return targets + _noise(settings, key, count, entries), inputs


def _noise(settings: TeacherSettings, key: Keys, count: int, entries: Any) -> Float[Array, "d k"]:
    """Return noise on targets of inputs whose entries have variance 1 / `entries`."""
    from dlnsweep.numerics.streams import gaussian

    noise = gaussian(key("data/noise"), settings.signal_dim, count) / entries**0.5
    return settings.output_noise * noise


def draw_test(
    settings: TeacherSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw fresh inputs and what the teacher says of them, without noise.

    For relu and Gaussian inputs both are scaled so that targets have mean square norm rho^2, as the
    test signals of the problems that measure signals have. The others are not scaled.
    """
    return _rescaled(
        settings, *_taught(settings, common(settings, key), key("test/signals"), count, 1)
    )


def law(settings: TeacherSettings, key: Keys, count: int) -> tuple[Float[Array, "_ _"], ...]:
    """Draw the samples by their coordinates, where the number of inputs may be a tracer.

    Returns:
        The fields of `contracts.problem.Coordinates`.
    """
    n, neurons = settings.num_samples, settings.num_teacher_neurons
    inputs, directions, fresh, noise = coordinates(
        key, settings.measurement_dim, (n, neurons, count, count)
    )
    teacher = directions / jnp.linalg.norm(directions, axis=0), _signs(settings, key)
    samples = n if _scaled(settings) else 1
    targets, inputs = _answers(settings, teacher, inputs / samples**0.5)
    test = _rescaled(settings, *_answers(settings, teacher, fresh))
    targets = targets + _noise(settings, key, n, samples)
    return (targets, inputs[:n], *test, noise)


def _rescaled(
    settings: TeacherSettings, targets: Float[Array, "d k"], inputs: Float[Array, "_ k"]
) -> tuple[Float[Array, "d k"], Float[Array, "_ k"]]:
    """Return test samples of the size that they are to have; see `draw_test`."""
    if not _scaled(settings):
        return targets, inputs
    # E (u . y)_+^2 = 1/2 for a standard Gaussian y, and the signs are independent.
    scale = (2.0 / settings.signal_dim) ** 0.5
    return scale * targets, scale * inputs


def _scaled(settings: TeacherSettings) -> bool:
    """Return whether inputs may have any scale, since the teacher is homogeneous."""
    return settings.teacher_activation == "relu" and settings.inputs != "sphere"


def teach(
    inputs: Float[Array, "m n"],
    directions: Float[Array, "m K"],
    signs: Float[Array, "d K"],
    activation: str = "relu",
) -> Float[Array, "d n"]:
    """Return sum_k c_k s(u_k . y) / sqrt(K) of each column y of the inputs."""
    from dlnsweep.numerics.products import multiply

    hidden = activated(activation, multiply(directions.T, inputs))
    return multiply(signs, hidden) / directions.shape[1] ** 0.5


def _taught(
    settings: TeacherSettings,
    teacher: tuple[Float[Array, "m K"], Float[Array, "d K"]],
    own: Words,
    count: int,
    samples: int,
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.streams import gaussian

    inputs = gaussian(own, settings.measurement_dim, count) / samples**0.5
    if settings.inputs == "sphere":
        inputs = inputs / jnp.linalg.norm(inputs, axis=0)
    return _answers(settings, teacher, inputs)


def _answers(
    settings: TeacherSettings,
    teacher: tuple[Float[Array, "m K"], Float[Array, "d K"]],
    inputs: Float[Array, "m k"],
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Return what the teacher says of some inputs, and these."""
    targets = teach(inputs, *teacher, settings.teacher_activation)
    return settings.teacher_scale * targets, inputs
