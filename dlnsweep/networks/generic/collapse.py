"""Observables of neural collapse (Papyan, Han and Donoho 2020, arXiv:2008.08186).

With h_i (k) the last hidden layer's values on training sample i, c(i) the class of its largest
target (of one target: its sign), mu_c the mean over class c, mu the mean of the C class means, and
M (k, C) of columns mu_c - mu,

    S_W = (1/n) sum_i (h_i - mu_c(i)) (h_i - mu_c(i))^T,    S_B = (1/C) M M^T,

    nc1 = tr(S_W S_B^+) / C
    nc2 = || M^T M / ||M^T M||_F  -  (I - 11^T / C) / sqrt(C - 1) ||_F
    nc3 = || W^T / ||W||_F  -  M / ||M||_F ||_F,    W (C, k) the last layer.

nc1 and nc3 are those of the paper, section "Neural collapse"; nc2 is 0 just if the class means are
a simplex of equal lengths and equal angles, what the paper shows in two numbers. Classes count
alike, however many samples they have; a class without a sample makes all three NaN.

S_B has rank C - 1: with P (C, C - 1) an orthonormal basis of what is orthogonal to 1,
M M^T = (M P)(M P)^T, and tr(S_W S_B^+) = (C/n) ||(M P)^+ (H - mu_c)||_F^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.networks.generic.layers import hidden_of, layers_of
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.view import GenericView
    from dlnsweep.settings.sections import RecordSettings


class _Features(NamedTuple):
    """The last hidden layer's values.

    Attributes:
        within: h_i - mu_c(i), sample by sample.
        means: M, the class means less their mean.
    """

    within: Float[Array, "k n"]
    means: Float[Array, "k C"]


def _features(view: GenericView, name: str) -> _Features:
    """Return the features, for an observable of some name; computed once a record."""
    from dlnsweep.numerics.products import multiply

    if "collapse" not in view.shared:
        features, targets = hidden_of(view, view.whole, name)[-1], view.data.targets
        if targets.shape[0] == 1:
            chosen, classes = (targets[0] > 0).astype(int), 2
        else:
            chosen, classes = jnp.argmax(targets, axis=0), targets.shape[0]
        own = (chosen[:, None] == jnp.arange(classes)).astype(view.dtype)
        means = multiply(features, own) / jnp.sum(own, axis=0)
        centred = means - jnp.mean(means, axis=1, keepdims=True)
        view.shared["collapse"] = _Features(features - means[:, chosen], centred)
    return view.shared["collapse"]


@observable(
    "nc1",
    "NC1 (within classes)",
    "variability within classes of the last hidden layer's values beside that of the class means, "
    "tr(S_W S_B^+) / C (arXiv:2008.08186), on the training samples; 0 if the samples of a class "
    "are one point",
    views=("parameters",),
    basis_free=True,
)
def _nc1(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.spectra import guarded

    found = _features(view, "nc1")
    classes = found.means.shape[1]
    # Columns 2 to C of the reflection that takes the first unit vector to 1 / sqrt(C).
    axis = jnp.ones(classes, view.dtype).at[0].add(-(classes**0.5))
    square = jnp.sum(axis**2)
    basis = (jnp.eye(classes, dtype=view.dtype) - 2 * jnp.outer(axis, axis) / square)[:, 1:]
    inverse = guarded(jnp.linalg.pinv, multiply(found.means, basis))
    return jnp.sum(multiply(inverse, found.within) ** 2) / found.within.shape[1]


@observable(
    "nc2",
    "NC2 (simplex of means)",
    "Frobenius distance of the Gram matrix of the class means less their mean, over its norm, from "
    "(I - 11^T/C) / sqrt(C - 1), that of C points of equal lengths and angles; 0 if they are such",
    views=("parameters",),
    basis_free=True,
)
def _nc2(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    means = _features(view, "nc2").means
    classes = means.shape[1]
    gram = multiply(means.T, means)
    simplex = (jnp.eye(classes, dtype=view.dtype) - 1 / classes) / (classes - 1) ** 0.5
    return jnp.linalg.norm(gram / jnp.linalg.norm(gram) - simplex)


@observable(
    "nc3",
    "NC3 (self-duality)",
    "||W^T / ||W||_F - M / ||M||_F||_F, W the last layer, a row a class, and M the class means "
    "less their mean (arXiv:2008.08186); 0 if the last layer's rows are proportional to them. "
    "Networks without biases on squared loss have orthogonal rows, and end at "
    "sqrt(2 - 2 sqrt(1 - 1/C)) (derived)",
    views=("parameters",),
    basis_free=True,
)
def _nc3(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    last, means = layers_of(view, view.whole, "nc3")[-1], _features(view, "nc3").means
    if last.shape[0] != means.shape[1]:
        raise SpecError(
            "record.observables names 'nc3', which compares the last layer's rows with the class "
            f"means; the problem has {means.shape[1]} classes and {last.shape[0]} output. Leave it "
            'out, or take labels = "one_hot".'
        )
    return jnp.linalg.norm(last.T / jnp.linalg.norm(last) - means / jnp.linalg.norm(means))
