"""A student, and its distance from a teacher on all Gaussian inputs."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float

from dlnsweep.networks.population.moments import moment_of
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.problems.population import Teacher


class Student(NamedTuple):
    """What is trained, or is to be compared with a teacher.

    Attributes:
        neurons: W, the teacher's M coordinates first.
        readouts: a.
    """

    neurons: Float[Array, "K r"]
    readouts: Float[Array, " K"]


def squared_distance(activation: str, student: Student, teacher: Teacher) -> Float[Array, ""]:
    """Return E (f(x) - f*(x))^2, f* the teacher without noise.

    It is a^T A a - 2 a^T B b + b^T C b, with the moments A of students, B of students with
    teachers, C of teachers: below some 1e-15 of these it is rounding, which is kept from being
    negative.
    """
    moment = moment_of(activation)
    count = teacher.neurons.shape[0]
    both = jnp.concatenate(
        [student.neurons, jnp.pad(teacher.neurons, ((0, 0), (0, student.neurons.shape[1] - count)))]
    )
    signed = jnp.concatenate([student.readouts, -teacher.readouts])
    products = multiply(both, both.T)
    # The diagonal as it stands in the products, so that the angle of a vector with itself is 0.
    squares = jnp.sum(jnp.where(jnp.eye(len(products), dtype=bool), products, 0.0), axis=1)
    moments = moment(squares[:, None], squares[None, :], products)
    found = jnp.sum(signed * jnp.sum(moments * signed, axis=1))
    return found + lax.stop_gradient(jnp.maximum(found, 0.0) - found)
