"""What can be recorded of a run: names, labels and the functions that compute them.

An observable is a function of a `LinearView` (kernels/linear.py) and of the settings in
[record]. It is computed at recorded steps only, and costs nothing when it is not asked for.
Register your own with `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlnsweep.errors import SpecError
from dlnsweep.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.kernels.linear import LinearView
    from dlnsweep.sections import RecordSettings


@dataclass(frozen=True)
class Dimensions:
    """The sizes that an observable's length can depend on."""

    signal_dim: int
    measurement_dim: int
    depth: int


@dataclass(frozen=True)
class Observable:
    """A function of the training state that can be recorded.

    Attributes:
        name: The word used in sweep files and as the Parquet column.
        label: Axis label, with mathtext.
        text: One line that says what it is.
        compute: Takes the view and the settings of [record]; returns a scalar or a vector.
        size: Length of the vector for given dimensions; None for a scalar.
        needs_test_samples: Whether fresh samples must be drawn for it.
        needs_isometry: Whether the problem's operator must be examined for it.
        needs_layers: Whether it reads the layers themselves, which the reduced kernel never
            forms; all else that a `LinearView` offers it has.
    """

    name: str
    label: str
    text: str
    compute: Callable[[LinearView, RecordSettings], Float[Array, "..."]]
    size: Callable[[Dimensions], int] | None = None
    needs_test_samples: bool = False
    needs_isometry: bool = False
    needs_layers: bool = True


OBSERVABLES: dict[str, Observable] = {}


def register(observable: Observable) -> Observable:
    """Make an observable known under its name.

    Raises:
        ValueError: If the name is taken or is not a lower-case identifier.
    """
    if not observable.name.isidentifier() or observable.name != observable.name.lower():
        raise ValueError(f"observable name {observable.name!r} is not a lower-case identifier")
    if observable.name in OBSERVABLES:
        raise ValueError(f"an observable named {observable.name!r} is registered already")
    OBSERVABLES[observable.name] = observable
    return observable


def _observable(name: str, label: str, text: str, **options: Any) -> Callable[[Any], Any]:
    def add(compute: Callable[..., Any]) -> Callable[..., Any]:
        options.setdefault("needs_layers", False)
        register(Observable(name, label, text, compute, **options))
        return compute

    return add


@_observable(
    "loss",
    r"loss $\frac{c}{2}\|W_{L:1}Y-X\|_F^2+\frac{\lambda}{2}\sum_i\|W_i\|_F^2$",
    "objective (4) of arXiv:2502.15522 with the data-fit scale c",
)
def _loss(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    decay = view.weight_decay * jnp.sum(view.squared_weight_norms)
    return 0.5 * (view.data_fit_scale * view.squared_error + decay)


@_observable(
    "regression_error",
    r"regression error $\|W_{L:1}Y-X\|_F\,/\,\|X\|_F$",
    "relative error on the training samples",
)
def _regression_error(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_error) / view.data.signal_norm


@_observable(
    "off_subspace_error",
    r"off-subspace error $\|W_{L:1}P_{\mathrm{range}(Y)}^{\perp}\|_{\mathrm{op}}$",
    "largest amplification of a measurement orthogonal to range(Y)",
)
def _off_subspace_error(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.kernels.linear import operator_norm

    return operator_norm(view.off_range)


@_observable(
    "singular_values",
    r"singular values of $W_{L:1}$",
    "singular values of the end-to-end matrix, in descending order",
    size=lambda dims: min(dims.signal_dim, dims.measurement_dim),
)
def _singular_values(view: LinearView, record: RecordSettings) -> Float[Array, " p"]:
    return view.singular_values


@_observable(
    "weight_norms",
    r"weight norms $\|W_i\|_F$",
    "Frobenius norm of each layer, the first layer first",
    size=lambda dims: dims.depth,
)
def _weight_norms(view: LinearView, record: RecordSettings) -> Float[Array, " L"]:
    return jnp.sqrt(view.squared_weight_norms)


@_observable(
    "unbalancedness",
    r"unbalancedness $\max_l\|W_{l+1}^\top W_{l+1}-W_lW_l^\top\|_F$",
    "largest Frobenius norm of W_{l+1}^T W_{l+1} - W_l W_l^T (Definition 1 of arXiv:2408.13767)",
    needs_layers=True,
)
def _unbalancedness(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    if not view.layer_gaps:
        return jnp.zeros((), view.dtype)
    return jnp.max(jnp.stack([jnp.linalg.norm(gap) for gap in view.layer_gaps]))


@_observable(
    "unbalancedness_nuclear",
    r"unbalancedness $\max_l\|W_{l+1}^\top W_{l+1}-W_lW_l^\top\|_*$",
    "the same in the nuclear norm; costs an eigenvalue decomposition of d_w x d_w a record",
    needs_layers=True,
)
def _unbalancedness_nuclear(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    if not view.layer_gaps:
        return jnp.zeros((), view.dtype)
    from dlnsweep.kernels.linear import guarded

    norms = [jnp.sum(jnp.abs(guarded(jnp.linalg.eigvalsh, gap))) for gap in view.layer_gaps]
    return jnp.max(jnp.stack(norms))


@_observable(
    "effective_rank",
    "effective rank",
    "exp of the entropy of the end-to-end matrix's normalised singular values (Roy, Vetterli 2007)",
)
def _effective_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    values = view.singular_values
    shares = values / jnp.sum(values)
    # Of a zero matrix, and of one that is not finite, the shares are NaN, and so is the result.
    entropy = -jnp.sum(shares * jnp.log(jnp.where(shares == 0, 1, shares)))
    return jnp.exp(entropy)


@_observable(
    "stable_rank",
    r"stable rank $\|W_{L:1}\|_F^2\,/\,\|W_{L:1}\|_{\mathrm{op}}^2$",
    "squared Frobenius over squared operator norm of the end-to-end matrix",
)
def _stable_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sum((view.singular_values / view.singular_values[0]) ** 2)


@_observable(
    "numerical_rank",
    "numerical rank",
    "number of singular values of the end-to-end matrix above rank_threshold times the largest",
)
def _numerical_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    threshold = record.rank_threshold * view.singular_values[0]
    return jnp.sum(view.singular_values > threshold).astype(view.dtype)


@_observable(
    "gradient_norm",
    r"gradient norm $(\sum_i\|\nabla_{W_i}\|_F^2)^{1/2}$",
    "Frobenius norm of the gradient of the loss (decay included) over all layers together",
)
def _gradient_norm(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_gradient_norm)


@_observable(
    "oracle_distance",
    r"distance to the oracle $\|W_{L:1}-XY^+\|_F\,/\,\|XY^+\|_F$",
    "relative Frobenius distance of the end-to-end matrix from X Y^+",
)
def _oracle_distance(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    oracle = view.data.targets / view.data.inputs
    squared = jnp.sum((view.on_range - oracle) ** 2) + jnp.sum(view.off_range**2)
    return jnp.sqrt(squared) / jnp.linalg.norm(oracle)


def _relative_test_error(view: LinearView, with_noise: bool) -> Float[Array, ""]:
    from dlnsweep.kernels.linear import multiply

    assert view.test is not None
    inputs = view.test.measurements + (view.test.noise if with_noise else 0.0)
    error = multiply(view.end_to_end_matrix, inputs) - view.test.signals
    return jnp.linalg.norm(error) / jnp.linalg.norm(view.test.signals)


@_observable(
    "test_error",
    r"test error $\|W_{L:1}Y'-X'\|_F\,/\,\|X'\|_F$",
    "relative error on fresh signals of the same subspace, measured without noise",
    needs_test_samples=True,
)
def _test_error(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return _relative_test_error(view, with_noise=False)


@_observable(
    "noisy_test_error",
    r"noisy test error $\|W_{L:1}(Y'+E)-X'\|_F\,/\,\|X'\|_F$",
    "relative error on fresh signals with Gaussian noise of record.test_noise on each measurement",
    needs_test_samples=True,
)
def _noisy_test_error(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return _relative_test_error(view, with_noise=True)


def _gain(name: str, label: str, text: str, read: Callable[[Any], Any], **options: Any) -> None:
    _observable(name, label, text, **{"needs_layers": True, **options})(lambda view, _: read(view))


CURVATURES = ("curvature_min", "curvature_max")
# The most rows of P(t), whose eigenvalues are those of a dense matrix.
LARGEST_CURVATURE = 2048


def why_no_curvature(rank: int, d: int) -> str:
    """Return why the spectrum of P(t) is not computed at these sizes; empty if it is."""
    if rank * d <= LARGEST_CURVATURE:
        return ""
    return (
        f"{' and '.join(CURVATURES)} need the eigenvalues of a matrix of {rank * d} rows, the rank "
        f"of the measurements, {rank}, times signal_dim, {d}; it may have {LARGEST_CURVATURE}. "
        "Leave them out, or take smaller data."
    )


def _curvature(view: LinearView) -> Float[Array, " 2"]:
    d, rank = view.data.targets.shape
    reason = why_no_curvature(rank, d)
    if reason:
        raise SpecError(reason)
    return view.curvature


# The events B(t) of arXiv:2502.15522, Theorems A.12 and A.23, after Du and Hu (2019,
# arXiv:1901.08572), for entries of W_i of variance 1 / fan_in_i: wide networks begin at 1.
_UPPER = r"$\sigma(W_{L:i})$, $i\geq 2$"
_LOWER = r"$\sqrt{m/d_w}\,\sigma(W_{i:1}Y)/\sigma(Y)$"
_gain(
    "upper_gain_min",
    f"smallest {_UPPER}",
    "the smallest of the d singular values of W_{L:i}, over i = 2 to L (1 for L = 1)",
    lambda view: view.upper_gains[0],
)
_gain(
    "upper_gain_max",
    f"largest {_UPPER}",
    "the largest singular value of W_{L:i}, over i = 2 to L (1 for L = 1)",
    lambda view: view.upper_gains[1],
)
_gain(
    "lower_gain_min",
    f"smallest {_LOWER}",
    "sqrt(m / d_w) times the smallest singular value of W_{i:1} Y over that of Y (on its row "
    "space), over i = 1 to L - 1 (1 for L = 1)",
    lambda view: view.lower_gains[0],
)
_gain(
    "lower_gain_max",
    f"largest {_LOWER}",
    "sqrt(m / d_w) times the largest singular value of W_{i:1} Y over that of Y, over i = 1 to "
    "L - 1 (1 for L = 1)",
    lambda view: view.lower_gains[1],
)
_gain(
    "middle_gain_max",
    r"largest $\|W_{j:i}\|_{\mathrm{op}}$, $1<i\leq j<L$",
    "the largest operator norm of W_{j:i}, over 1 < i <= j < L (0 where there is none); by 64 "
    "Lanczos steps, from below",
    lambda view: view.middle_gain,
)
_gain(
    "curvature_min",
    r"smallest eigenvalue of $P(t)$",
    "the smallest eigenvalue of P(t), with which a step of gradient descent is, to first order, "
    "Phi - eta P Phi ((38) of arXiv:2502.15522); on the row space of Y; r d <= 2048 only",
    lambda view: _curvature(view)[0],
)
_gain(
    "curvature_max",
    r"largest eigenvalue of $P(t)$",
    "the largest eigenvalue of P(t); gradient descent is stable while eta times it is below 2",
    lambda view: _curvature(view)[1],
)
_gain(
    "first_layer_off_range",
    r"$\|W_1P_{\mathrm{range}(Y)}^{\perp}\|_{\mathrm{op}}$",
    "operator norm of the first layer off range(Y), which only decays",
    lambda view: view.first_off_gain,
    needs_layers=False,
)
_gain(
    "isometry_min",
    r"smallest singular value of $AR$",
    "the smallest singular value of A R, the operator on the signals' subspace; the same at every "
    "step",
    lambda view: view.test.isometry[0],
    needs_layers=False,
    needs_isometry=True,
)
_gain(
    "isometry_max",
    r"largest singular value of $AR$",
    "the largest singular value of A R, the operator on the signals' subspace; the same at every "
    "step",
    lambda view: view.test.isometry[1],
    needs_layers=False,
    needs_isometry=True,
)
_gain(
    "rip_lower_estimate",
    r"lower estimate of $\delta_s(A)$",
    "the largest |sigma^2 - 1| over the singular values of 200 random choices of s columns of A: a "
    "Monte-Carlo lower estimate of its restricted isometry constant for s-sparse signals; the same "
    "at every step",
    lambda view: view.test.isometry[2],
    needs_layers=False,
    needs_isometry=True,
)


# Optimizers whose steps keep the weights in the spaces that gradient descent visits.
_REDUCIBLE = ("gradient_descent", "momentum", "nesterov")


def why_not_reduced(optimizer: str, depth: int, observables: Sequence[str]) -> str:
    """Return why the reduced kernel cannot train a run; empty if it can."""
    if optimizer not in _REDUCIBLE:
        return f"{optimizer} does not keep to the spaces that gradient descent visits"
    if depth == 1:
        return "a network of depth 1 has no hidden layer"
    for name in observables:
        if OBSERVABLES[name].needs_layers:
            return f"{name} needs the weights themselves"
    return ""
