"""Observables of the loss's curvature: its Hessian's largest eigenvalues, its trace, H theta.

With F the objective that training makes small (data-fit scale c and decay included), H its Hessian
at theta and R = diag(eta_i / eta) the learning rates of the entries over eta, a step of gradient
descent is theta <- theta - eta R grad F. Near a minimum it moves R^{-1/2} theta by the matrix

    I - eta R^{1/2} H R^{1/2},

so steps shrink only if the largest eigenvalue of R^{1/2} H R^{1/2} is below 2 / eta; with momentum
beta below (2 + 2 beta) / eta (arXiv:2103.00065, section 2 and appendix B). That matrix, which is H
where all learning rates are one, is what is meant by the Hessian here. Products with it are
derivatives of the gradient along a direction; what of a network is not trained is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.vectors import flat, like

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.contracts.view import View
    from dlnsweep.settings.sections import RecordSettings

_VIEWS = ("parameters", "layers", "matrix", "population")
# The most parameters of which the trace is taken, by a product with each unit vector.
LARGEST_TRACE = 20_000
_TRACED_AT_ONCE = 64
# About what `tests/benchmarks/sharpness.py` counts.
_STEPS_A_RECORD = 200


def flat_rates(view: View) -> Float[Array, " P"]:
    """Return the learning rate of each entry of the parameters over eta."""
    point, _, rates = view.landscape
    return flat(jax.tree.map(lambda leaf, rate: jnp.broadcast_to(rate, leaf.shape), point, rates))


def hessian_of(view: View) -> Callable[[Float[Array, " P"]], Float[Array, " P"]]:
    """Return v -> R^{1/2} H R^{1/2} v at the view's parameters."""
    point = view.landscape.point
    roots = jnp.sqrt(flat_rates(view))
    along = _products_of(view)
    return lambda vector: roots * flat(along(like(roots * vector, point)))


def _products_of(view: View) -> Callable[[Any], Any]:
    """Return v -> H v, of parameters as the view has them."""
    if "along" not in view.shared:
        point, objective, _ = view.landscape
        # The gradient's own numbers are computed once, not with every product.
        view.shared["along"] = jax.linearize(jax.grad(objective), point)[1]
    return view.shared["along"]


def _leading(view: View, record: RecordSettings) -> Float[Array, " k"]:
    """Return the largest eigenvalues, one if no more are recorded; found once a record."""
    from dlnsweep.numerics.krylov import largest_eigenvalues

    if "curvatures" not in view.shared:
        several = "hessian_eigenvalues" in record.observables
        rates = flat_rates(view)
        count = record.num_eigenvalues if several else 1
        found = largest_eigenvalues(
            hessian_of(view), rates.size, count, view.dtype, support=rates > 0
        )
        view.shared["curvatures"] = _with_others(found, jnp.sum(rates > 0), view.left_out)
    return view.shared["curvatures"]


def _with_others(
    found: Float[Array, " k"], known: Any, others: list[tuple[Any, Any]]
) -> Float[Array, " k"]:
    """Return the largest of some eigenvalues and of others that come several times.

    Args:
        found: In descending order; NaN beyond the first `known`, of which there are no more.
        known: How many there are.
        others: Eigenvalues, with how many times each comes.
    """
    if not others:
        return found
    places = jnp.arange(found.size)
    found = jnp.where(places < known, found, -jnp.inf)
    for value, times in others:
        more = jnp.where(places < times, value, -jnp.inf)
        # NaN, which is the largest of a sort, stays NaN.
        found = jnp.sort(jnp.concatenate([found, more]))[::-1][: found.size]
    return jnp.where(jnp.isneginf(found), jnp.nan, found)


@observable(
    "sharpness",
    r"sharpness $\lambda_{\max}(\nabla^2 F)$",
    "largest (algebraic, not absolute) eigenvalue of the Hessian of the loss, decay and data-fit "
    "scale included, by Hessian-vector products (Lanczos, residual below 1e-10 of the largest "
    "eigenvalue's size, 1e-4 in float32; NaN where 2000 products do not reach that); gradient "
    "descent is stable below 2/eta, with momentum beta below (2 + 2 beta)/eta (arXiv:2103.00065); "
    "where layers have rates r_i eta it is that of R^(1/2) H R^(1/2), R = diag(r_i). A record "
    "costs as much as a hundred steps or several hundred; by the dense kernel and the generic way",
    views=_VIEWS,
    needs_layers=True,
    basis_free=True,
    steps_a_record=_STEPS_A_RECORD,
)
def _sharpness(view: View, record: RecordSettings) -> Float[Array, ""]:
    return _leading(view, record)[0]


@observable(
    "hessian_eigenvalues",
    r"largest eigenvalues of $\nabla^2 F$",
    "the num_eigenvalues largest eigenvalues (algebraic, each as often as it comes) of the Hessian "
    "that sharpness is of, in descending order, to the same tolerance",
    size=lambda dims: dims.num_eigenvalues,
    views=_VIEWS,
    needs_layers=True,
    reads=("num_eigenvalues",),
    basis_free=True,
    steps_a_record=_STEPS_A_RECORD,
)
def _hessian_eigenvalues(view: View, record: RecordSettings) -> Float[Array, " k"]:
    return _leading(view, record)


@observable(
    "hessian_trace",
    r"trace of the Hessian $\mathrm{tr}\,\nabla^2 F$",
    "sum of all eigenvalues of the Hessian that sharpness is of, exactly, by a product with each "
    f"unit vector: a record costs about as many steps as there are parameters, at most "
    f"{LARGEST_TRACE}",
    views=_VIEWS,
    needs_layers=True,
    basis_free=True,
)
def _hessian_trace(view: View, record: RecordSettings) -> Float[Array, ""]:
    size = flat_rates(view).size
    if size > LARGEST_TRACE:
        raise SpecError(
            f"record.observables names 'hessian_trace', which takes a product with the Hessian for "
            f"each of {size} parameters; it may be {LARGEST_TRACE}. Leave it out, record "
            "hessian_eigenvalues, or take a smaller network."
        )
    apply = hessian_of(view)

    def entry(i: Any) -> Any:
        unit = jnp.zeros(size, view.dtype).at[i].set(1.0)
        return apply(unit)[i]

    found = lax.map(entry, jnp.arange(size), batch_size=min(size, _TRACED_AT_ONCE))
    return jnp.sum(found) + sum(value * times for value, times in view.left_out)


@observable(
    "gradient_rounding",
    r"rounding of the gradient $u\,\|(\nabla^2F)\,\theta\|$",
    "norm of the Hessian times the parameters, times half the distance of 1 and the next number "
    "of the precision (1.1e-16 in float64): what rounding each parameter makes of the gradient, "
    "to first order. A gradient_norm that has fallen to it says no more; by the dense kernel and "
    "the generic way",
    views=_VIEWS,
    # Off the span of the samples decay alone has a part in it, which coordinates there lack.
    needs_layers=True,
)
def _gradient_rounding(view: View, record: RecordSettings) -> Float[Array, ""]:
    moved = _products_of(view)(view.landscape.point)
    return jnp.finfo(view.dtype).eps / 2 * jnp.linalg.norm(flat(moved))
