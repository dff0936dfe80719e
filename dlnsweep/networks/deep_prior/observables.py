"""Observables of "deep_prior": errors, the network's Jacobian, and the bounds of arXiv:2403.05395.

The bounds are those of its theorem on gradient descent with a step gamma of at most 1 / L, where
the initial weights are within its condition R' < R; they are constants of a run, except for
`loss_bound`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.deep_prior.view import PriorView
    from dlnsweep.settings.sections import RecordSettings


def _prior(name: str, label: str, text: str) -> Any:
    return observable(name, label, text, views=("deep_prior",))


@_prior(
    "signal_error",
    r"signal error $\|x(t)-\bar{x}\|\,/\,\|\bar{x}\|$",
    "relative error of the network's output x(t) = g(u) as an estimate of the signal",
)
def _signal_error(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.linalg.norm(view.error) / jnp.linalg.norm(view.constants.signal)


@_prior(
    "measurement_error",
    r"measurement error $\|A(x(t)-\bar{x})\|\,/\,\|A\bar{x}\|$",
    "relative error of A x(t) beside the measurements of the signal without noise",
)
def _measurement_error(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    operator = view.constants.operator
    clean = multiply(operator, view.constants.signal)
    return jnp.linalg.norm(multiply(operator, view.error)) / jnp.linalg.norm(clean)


@_prior(
    "noise_ratio",
    r"noise ratio $\|\varepsilon\|\,/\,\|A\bar{x}\|$",
    "norm of the noise over that of the measurements without it; the same at every step",
)
def _noise_ratio(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    clean = multiply(view.constants.operator, view.constants.signal)
    return view.constants.noise_norm / jnp.linalg.norm(clean)


@_prior(
    "jacobian_min",
    r"$\sigma_{\min}(J_g(t))$",
    "smallest of the n singular values of the Jacobian of the network's output with respect to "
    "all that is trained; zero where the width k is below n and V is fixed",
)
def _jacobian_min(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.jacobian_min


@_prior(
    "jacobian_ratio",
    r"$\sigma_{\min}(J_g(t))\,/\,\sigma_{\min}(J_g(0))$",
    "the same over its value at step 0, NaN where that is zero; theory has it above 1/2",
)
def _jacobian_ratio(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.jacobian_min / view.start.jacobian_min


@_prior(
    "weight_distance",
    r"$\|\theta(t)-\theta(0)\|$",
    "distance of all that is trained from the initial weights",
)
def _weight_distance(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.distance


@_prior(
    "weight_radius",
    r"$R'$",
    "R' = 2 psi(L(0)) / (sigma_A sigma_min(J_g(0))), which theory has the weights stay within; NaN "
    "for the loss cross_entropy",
)
def _weight_radius(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.radius


@_prior(
    "allowed_radius",
    r"$R$",
    "R = sigma_min(J_g(0)) / (2 Lip(J_g)) with Lip(J_g) <= sup|phi''| ||V|| / sqrt(k), where "
    "theory needs R' < R; NaN where V is trained",
)
def _allowed_radius(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.allowed_radius


@_prior(
    "loss_bound",
    r"bound of the loss",
    "theory's bound while sigma_min(J_g) is above half of its first value: the loss falls by "
    "(gamma/8) sigma_A^2 sigma_min(J_g(0))^2 / psi'(L)^2 a step or more; for half_squared a factor "
    "1 - gamma sigma_A^2 sigma_min(J_g(0))^2 / 4; NaN for cross_entropy",
)
def _loss_bound(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.loss_bound


@_prior(
    "operator_min",
    r"$\sigma_A$",
    "smallest of the m singular values of A; the same at every step",
)
def _operator_min(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.operator_min


@_prior(
    "restricted_injectivity",
    r"restricted injectivity $\lambda_{\min}(A;\mathrm{range}\,J_g)$",
    "smallest ||A w|| over unit vectors w that the network's output can move along to first order; "
    "zero where there are more such directions than measurements",
)
def _restricted_injectivity(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.restricted_injectivity


@_prior(
    "recovery_bound",
    r"bound of the signal error",
    "(||A x(t) - y|| + ||noise||) / (restricted_injectivity ||x||): a bound of the signal error "
    "where x(t) - x is such a direction, as near a signal that the network represents; infinite "
    "where the restricted injectivity is zero",
)
def _recovery_bound(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    missed = jnp.linalg.norm(view.residual) + view.constants.noise_norm
    gain = view.restricted_injectivity * jnp.linalg.norm(view.constants.signal)
    return jnp.where(gain > 0, missed / jnp.where(gain > 0, gain, 1.0), jnp.inf)


@_prior(
    "width_bound",
    r"width bound $\sigma_A^{-4}\,n\,\psi(L(0))^4$",
    "the width that theory asks for, its constant left out and with the run's own initial loss; "
    "NaN for cross_entropy",
)
def _width_bound(view: PriorView, record: RecordSettings) -> Float[Array, ""]:
    return view.width_bound
