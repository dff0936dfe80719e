"""Observables of networks on a loss of their end-to-end matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.contracts.observable import observable
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.matrix.end_to_end import EndToEndView
    from dlnsweep.networks.matrix.view import FactorizationView, MatrixView
    from dlnsweep.networks.population.view import PopulationView
    from dlnsweep.settings.sections import RecordSettings

_MATRIX = ("matrix",)


@observable(
    "train_error",
    "mean squared error on observations",
    "mean of (A(W)_k - y_k)^2 over the observed entries, measurements or samples",
    views=_MATRIX,
)
def _train_error(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    return view.mean_squared_error


@observable(
    "reconstruction_error",
    r"reconstruction error $\|W_{L:1}-M\|_F\,/\,\|M\|_F$",
    "relative Frobenius distance of the end-to-end matrix from the target M, all entries counted",
    views=_MATRIX,
)
def _reconstruction_error(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    target = view.fit.target
    assert target is not None
    return jnp.linalg.norm(view.end_to_end_matrix - target) / jnp.linalg.norm(target)


@observable(
    "nuclear_norm",
    r"nuclear norm $\|W_{L:1}\|_*$",
    "sum of the singular values of the end-to-end matrix",
    views=_MATRIX,
)
def _nuclear_norm(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sum(view.singular_values)


@observable(
    "determinant",
    r"determinant $\det W_{L:1}$",
    "determinant of the end-to-end matrix, which must be square",
    views=_MATRIX,
)
def _determinant(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.linalg.det(view.end_to_end_matrix)


@observable(
    "free_entry",
    r"unobserved entry $|w_{11}|$",
    "absolute value of the entry of divergent_completion that is not observed",
    views=_MATRIX,
)
def _free_entry(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.abs(view.end_to_end_matrix[0, 0])


@observable(
    "free_entry_bound",
    r"bound $(1-\sqrt{2\ell})^2/\sqrt{2\ell}$",
    "(1 - sqrt(2 l))^2 / sqrt(2 l), below which |w_11| cannot be while the determinant is positive "
    "and l < 1/2 (section 3 of arXiv:2005.06398); 0 for larger l, where nothing is said",
    views=_MATRIX,
)
def _free_entry_bound(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    root = jnp.sqrt(2 * view.data_loss)
    return jnp.where(root < 1, (1 - root) ** 2 / root, 0.0)


@observable(
    "free_entry_excess",
    r"$|w_{11}|$ over its bound ($\det W>0$)",
    "free_entry over free_entry_bound, which cannot be below 1; infinite where the bound says "
    "nothing: for l >= 1/2 and where the determinant is not positive",
    views=_MATRIX,
)
def _free_entry_excess(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    bound, matrix = _free_entry_bound(view, record), view.end_to_end_matrix
    known = (bound > 0) & (jnp.linalg.det(matrix) > 0)
    return jnp.where(known, _free_entry(view, record) / jnp.where(known, bound, 1.0), jnp.inf)


@observable(
    "gradient_alignment",
    r"$\langle\nabla\ell,\,u_rv_r^\top\rangle$",
    "inner products of the loss's gradient at W with the pairs of singular vectors of W, in the "
    "order of the singular values (Theorem 3 of arXiv:2408.13767)",
    size=lambda dims: min(dims.signal_dim, dims.measurement_dim),
    views=_MATRIX,
)
def _gradient_alignment(view: MatrixView, record: RecordSettings) -> Float[Array, " p"]:
    return _along_singular_vectors(view, view.matrix_gradient)


def _along_singular_vectors(view: MatrixView, matrix: Float[Array, "d m"]) -> Float[Array, " p"]:
    left, right = view.singular_vectors
    return jnp.einsum("ip,ij,jp->p", left, matrix, right, precision="highest")


@observable(
    "speed_exponent",
    "exponent of the speed",
    "slope of log(-(dσ_r/dt) / <grad l, u_r v_r^T>) on log(σ_r) over the singular values, by least "
    "squares, dσ_r/dt that of gradient flow on the layers as they are; Theorem 3 of "
    "arXiv:2408.13767 says 2 - 2/L",
    views=_MATRIX,
)
def _speed_exponent(view: MatrixView, record: RecordSettings) -> Float[Array, ""]:
    speeds = _along_singular_vectors(view, view.velocity)
    ratios = -speeds / _gradient_alignment(view, record)
    # Where the gradient vanishes to rounding there is no speed to speak of.
    seen = (ratios > 0) & (view.singular_values > 0) & jnp.isfinite(ratios)
    x = jnp.where(seen, jnp.log(jnp.where(seen, view.singular_values, 1.0)), 0.0)
    y = jnp.where(seen, jnp.log(jnp.where(seen, ratios, 1.0)), 0.0)
    count = jnp.sum(seen)
    x = jnp.where(seen, x - jnp.sum(x) / count, 0.0)
    return jnp.sum(x * y) / jnp.sum(x**2)


@observable(
    "unbalancedness_drift",
    "drift of the unbalancedness",
    "largest Frobenius norm of the change of W_{l+1}^T W_{l+1} - W_l W_l^T since step 0; gradient "
    "flow conserves it",
    needs_layers=True,
    views=("factors",),
)
def _unbalancedness_drift(view: FactorizationView, record: RecordSettings) -> Float[Array, ""]:
    pairs = list(zip(view.layer_gaps, view.first_layer_gaps, strict=True))
    if not pairs:
        return jnp.zeros((), view.dtype)
    return jnp.max(jnp.stack([jnp.linalg.norm(now - then) for now, then in pairs]))


@observable(
    "steps_taken",
    "steps",
    "steps that the run has taken: of a run that stop_when ended, how many it needed",
    views=("matrix", "population"),
)
def _steps_taken(view: MatrixView | PopulationView, record: RecordSettings) -> Float[Array, ""]:
    return view.steps.astype(view.dtype)


@observable(
    "end_to_end_distance",
    r"end-to-end update, $\|W_{L:1}-W\|_F\,/\,\|W\|_F$",
    "relative Frobenius distance of the network's end-to-end matrix from the matrix that the "
    "end-to-end update moves beside it",
    views=("end_to_end",),
)
def _end_to_end_distance(view: EndToEndView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.linalg.norm(view.end_to_end_matrix - view.twin) / jnp.linalg.norm(view.twin)


@observable(
    "end_to_end_loss",
    "loss of the end-to-end update",
    "the loss of the matrix that the end-to-end update moves",
    views=("end_to_end",),
)
def _end_to_end_loss(view: EndToEndView, record: RecordSettings) -> Float[Array, ""]:
    return view.twin_loss
