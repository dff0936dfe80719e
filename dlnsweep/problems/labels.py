"""Classes as targets: a row an output, a column a sample.

one_hot    k targets, 1 for the sample's class and 0 for the others
signs      two classes: one target, -1 for class 0 and 1 for class 1; more: k targets, 1 for the
           sample's class and -1 for the others

one_hot suits squared error and cross_entropy, signs also logistic and exponential losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

Labels = Literal["one_hot", "signs"]


def num_outputs(num_classes: int, labels: str) -> int:
    """Return the number of targets of a sample."""
    return 1 if labels == "signs" and num_classes == 2 else num_classes


def targets_of(classes: Int[Array, " n"], outputs: int, labels: str) -> Float[Array, "{outputs} n"]:
    """Return the targets of samples of given classes 0, 1, ..., float64."""
    if outputs == 1 and labels == "signs":
        return jnp.where(classes == 1, 1.0, -1.0).astype(jnp.float64)[None]
    own = classes[None] == jnp.arange(outputs)[:, None]
    return jnp.where(own, 1.0, 0.0 if labels == "one_hot" else -1.0).astype(jnp.float64)
