"""The state of a "committee", as observables see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jaxtyping import Array, Float, Int

from dlnsweep.networks.generic.view import GenericView
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import guarded
from dlnsweep.problems.population import Teacher


class PopulationView(GenericView):
    """A student and its teacher, in the coordinates of their span."""

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        return self.teacher.readouts.dtype

    @property
    def steps(self) -> Int[Array, ""]:
        """Steps that the run has taken."""
        return self.step

    @property
    def teacher(self) -> Teacher:
        """The teacher."""
        return self.data.targets

    @property
    def neurons(self) -> Float[Array, "K r"]:
        """W, the teacher's coordinates first."""
        return self.params.neurons

    @property
    def left_out(self) -> list[tuple[Any, Any]]:
        """Curvatures along the directions beyond the span of student and teacher.

        The Hessian's block of w_1 . u, ..., w_K . u is the same for each unit vector u beyond it,
        of which there are d - K - M that are orthogonal, and has nothing to do with other blocks:
        F knows of w . u only by products of two of them.
        """
        point, objective, _ = self.landscape
        neurons = point.neurons
        count, spanned = neurons.shape

        def beyond(column: Float[Array, " K"]) -> Float[Array, ""]:
            wide = jnp.concatenate([neurons, column[:, None]], axis=1)
            return objective(point._replace(neurons=wide))

        block = jax.hessian(beyond)(jnp.zeros(count, self.dtype))
        values = guarded(jnp.linalg.eigvalsh, block)
        times = self.data.inputs - spanned
        return [(values[k], times) for k in range(count)]

    @cached_property
    def student_products(self) -> Float[Array, "K K"]:
        """Q = W W^T."""
        return multiply(self.neurons, self.neurons.T)

    @cached_property
    def teacher_products(self) -> Float[Array, "K M"]:
        """R = W V^T."""
        count = self.teacher.neurons.shape[0]
        return multiply(self.neurons[:, :count], self.teacher.neurons.T)

    @cached_property
    def cosines(self) -> Float[Array, "K M"]:
        """Cosines of the angles of w_k and v_m; 0 where one of them is zero."""
        lengths = jnp.sqrt(
            jnp.diagonal(self.student_products)[:, None] * jnp.sum(self.teacher.neurons**2, axis=1)
        )
        return jnp.where(lengths > 0, self.teacher_products / jnp.where(lengths > 0, lengths, 1), 0)
