"""Observables of a "committee": how well it does on all inputs, and whom it has found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.population.view import PopulationView
    from dlnsweep.settings.sections import RecordSettings

# The cosine from which a neuron of the teacher counts as found: an angle of 18 degrees.
FOUND = 0.95


def _population(name: str, label: str, text: str, **options: Any) -> Any:
    return observable(name, label, text, views=("population",), **options)


@_population(
    "generalization_error",
    r"generalization error $\frac{1}{2}\mathrm{E}(f(x)-f^*(x))^2$",
    "half the expected squared difference from the teacher without noise, over x ~ N(0, I_d) "
    "exactly (as in Saad and Solla 1995); below some 1e-15 it is rounding",
)
def _generalization_error(view: PopulationView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.maximum(view.fit - 0.5 * view.teacher.noise**2, 0.0)


@_population(
    "teacher_overlaps",
    r"overlaps $w_k\cdot v_m$",
    "inner products of the student's and the teacher's vectors, those of the first neuron first",
    size=lambda dims: dims.signal_dim * dims.measurement_dim,
)
def _teacher_overlaps(view: PopulationView, record: RecordSettings) -> Float[Array, " KM"]:
    return view.teacher_products.ravel()


@_population(
    "student_overlaps",
    r"overlaps $w_k\cdot w_l$",
    "inner products of the student's vectors, row by row of the K x K matrix",
    size=lambda dims: dims.measurement_dim**2,
)
def _student_overlaps(view: PopulationView, record: RecordSettings) -> Float[Array, " KK"]:
    return view.student_products.ravel()


@_population(
    "readouts",
    r"readouts $a_k$",
    "the student's readouts",
    size=lambda dims: dims.measurement_dim,
)
def _readouts(view: PopulationView, record: RecordSettings) -> Float[Array, " K"]:
    return view.whole.readouts


@_population(
    "teacher_alignment",
    r"alignment $\frac{1}{M}\sum_m\max_k|\cos(w_k,v_m)|$",
    "mean over the teacher's neurons of the largest |cos| of a student's vector with theirs; 1 "
    "where all are found",
)
def _teacher_alignment(view: PopulationView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.mean(jnp.max(jnp.abs(view.cosines), axis=0))


@_population(
    "teachers_found",
    "teacher neurons found",
    f"number of the teacher's neurons with which a student's vector has a |cos| above {FOUND}",
)
def _teachers_found(view: PopulationView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sum(jnp.max(jnp.abs(view.cosines), axis=0) > FOUND, dtype=view.dtype)
