"""Observables that the proof of Theorem 2.3 of arXiv:2502.15522 is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.layered.view import LinearView


def _gain(name: str, label: str, text: str, read: Callable[[Any], Any], **options: Any) -> None:
    observable(name, label, text, **{"needs_layers": True, **options})(lambda view, _: read(view))


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


# The events B(t) of arXiv:2502.15522, (59b) and (69b), for entries of W_i of variance 1 / fan_in_i
# (the paper's have variance 1 and powers of d_w beside the bounds): wide networks begin near 1.
_UPPER = r"$\sigma(W_{L:i})$, $i\geq 2$"
_LOWER = r"$\sqrt{m/d_w}\,\sigma(W_{i:1}Y)/\sigma(X)$"
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
    "sqrt(m / d_w) times the smallest singular value of W_{i:1} Y over that of X (on the row space "
    "of Y), over i = 1 to L - 1 (1 for L = 1)",
    lambda view: view.lower_gains[0],
)
_gain(
    "lower_gain_max",
    f"largest {_LOWER}",
    "sqrt(m / d_w) times the largest singular value of W_{i:1} Y over that of X, over i = 1 to "
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
    "the smallest eigenvalue of P(t) of (38) of arXiv:2502.15522, with which a step of gradient "
    "descent is, to first order in its gradient, Phi - eta P Phi, but for the decay of W_{L:1} Y; "
    "on the row space of Y; r d <= 2048 only",
    lambda view: _curvature(view)[0],
)
_gain(
    "curvature_max",
    r"largest eigenvalue of $P(t)$",
    "the largest eigenvalue of P(t); gradient descent is stable while eta times it is below 2",
    lambda view: _curvature(view)[1],
)
_gain(
    "higher_order_term",
    r"$\|E(t)\|_F/\|\Phi(t)\|_F$",
    "the terms of second and higher order in the gradient by which the next step of gradient "
    "descent changes W_{L:1} Y, over the residual; on the row space of Y",
    lambda view: view.higher_order_share,
)
_gain(
    "displacement",
    r"$\max_i\,\sqrt{d_i}\,\|W_i(t)-\rho_i^tW_i(0)\|_F$",
    "how far a layer is from its start, decayed: the largest sqrt(fan_in_i) ||W_i(t) - (1 - eta_i "
    "lambda)^t W_i(0)||_F, which the events C(t) of arXiv:2502.15522 bound",
    lambda view: view.displacement,
    needs_initial=True,
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
