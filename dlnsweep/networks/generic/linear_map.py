"""Observables of the matrix B of a network that is linear in its inputs, f(Y) = B Y."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.view import GenericView
    from dlnsweep.settings.sections import RecordSettings


def matrix_of(view: GenericView, name: str) -> Float[Array, "d m"]:
    """Return B, for an observable of some name; formed once a record."""
    if not view.kernel.network.structure.linear(view.kernel.settings):
        raise SpecError(
            f"record.observables names '{name}', which is of the matrix B of a network that is "
            "linear in its inputs, f(Y) = B Y; with these settings it is not, as far as is known. "
            "Leave it out, or take diagonal_linear, deep_linear_resnet, or an mlp without biases "
            "of one layer or with activation linear."
        )
    if "matrix" not in view.shared:
        view.shared["matrix"] = view.output(jnp.eye(view.data.inputs.shape[0], dtype=view.dtype))
    return view.shared["matrix"]


def _signed(view: GenericView, name: str) -> Float[Array, "m n"]:
    """Return z_i = x_i y_i of each training sample, x_i the sign of its one target."""
    outputs = view.data.targets.shape[0]
    if outputs != 1:
        raise SpecError(
            f"record.observables names '{name}', which is of networks of one output; the problem "
            f"has {outputs}. Leave it out, or record margin."
        )
    return jnp.sign(view.data.targets) * view.data.inputs


def _l2_margin_of(view: GenericView, name: str) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    signed, matrix = _signed(view, name), matrix_of(view, name)
    return jnp.min(multiply(matrix, signed)) / jnp.linalg.norm(matrix)


@observable(
    "l2_margin",
    r"$\ell_2$ margin $\min_i x_i\beta^\top y_i\,/\,\|\beta\|_2$",
    "least x_i beta . y_i of the training samples over ||beta||_2, of a network of one output that "
    "is linear in its inputs, f(y) = beta . y (arXiv:1710.10345); x_i is the sign of the target: "
    "the distance of the samples from the hyperplane. NaN where beta is 0",
    views=("parameters",),
)
def _l2_margin(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return _l2_margin_of(view, "l2_margin")


@observable(
    "margin_gap",
    "relative gap of the margin",
    "1 - (l2_margin / ||sum_i a_i x_i y_i||), a_i = exp(-x_i f(y_i)) over their sum: at least "
    "1 - l2_margin / (the largest l2_margin that any beta has), since that is at most the norm of "
    "any such mean (weak duality); both go to 0 where beta goes to the max-margin direction",
    views=("parameters",),
)
def _margin_gap(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    signed, matrix = _signed(view, "margin_gap"), matrix_of(view, "margin_gap")
    weights = jax.nn.softmax(-multiply(matrix, signed)[0])
    bound = jnp.linalg.norm(multiply(signed, weights))
    return 1 - _l2_margin_of(view, "margin_gap") / bound


@observable(
    "l1_norm",
    r"$\|B\|_1$",
    "sum of the absolute values of all entries of B, of a network that is linear in its inputs, "
    "f(Y) = B Y; of diagonal_linear B is u^L - v^L",
    views=("parameters",),
)
def _l1_norm(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sum(jnp.abs(matrix_of(view, "l1_norm")))


@observable(
    "effective_sparsity",
    r"effective sparsity $\|B\|_1^2\,/\,\|B\|_F^2$",
    "squared l1 norm over squared l2 norm of all entries of that B: the number of its entries that "
    "are not zero if those have one size, and at most that number (arXiv:1204.4227). NaN where B "
    "is 0",
    views=("parameters",),
)
def _effective_sparsity(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    matrix = matrix_of(view, "effective_sparsity")
    return (jnp.sum(jnp.abs(matrix)) / jnp.linalg.norm(matrix)) ** 2
