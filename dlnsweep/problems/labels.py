"""Classes as targets: a row an output, a column a sample.

one_hot    k targets, 1 for the sample's class and 0 for the others
signs      two classes: one target, -1 for class 0 and 1 for class 1; more: k targets, 1 for the
           sample's class and -1 for the others

one_hot suits squared error and cross_entropy, signs also logistic and exponential losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint
from dlnsweep.settings.sentences import show

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

Labels = Literal["one_hot", "signs"]


# What the targets of a loss must be; any number for the others.
_NEEDED = {"logistic": "signs", "exponential": "signs", "cross_entropy": "one_hot"}
_SAID = {"one_hot": "of 1 and 0", "signs": "of 1 and -1", "none": "that are numbers"}


def fits(labels: str, loss: str) -> bool:
    """Return whether a loss is for such targets; "none" are numbers."""
    return _NEEDED.get(loss, labels) == labels


def _unfit(labels: str, loss: str) -> str:
    return (
        f"training.loss is {show(loss)}, which is for targets {_SAID[_NEEDED[loss]]}; the problem "
        f"has targets {_SAID[labels]}."
    )


# The loss must fit the targets, for problems with the key "labels".
LOSS_FITS = Constraint(("problem.labels", "training.loss"), fits, _unfit)


def loss_fits(labels: str) -> Constraint:
    """Return the same for a problem whose targets are always such."""
    return Constraint(
        ("training.loss",), lambda loss: fits(labels, loss), lambda loss: _unfit(labels, loss)
    )


def num_outputs(num_classes: int, labels: str) -> int:
    """Return the number of targets of a sample."""
    return 1 if labels == "signs" and num_classes == 2 else num_classes


def targets_of(classes: Int[Array, " n"], outputs: int, labels: str) -> Float[Array, "{outputs} n"]:
    """Return the targets of samples of given classes 0, 1, ..., float64."""
    if outputs == 1 and labels == "signs":
        return jnp.where(classes == 1, 1.0, -1.0).astype(jnp.float64)[None]
    own = classes[None] == jnp.arange(outputs)[:, None]
    return jnp.where(own, 1.0, 0.0 if labels == "one_hot" else -1.0).astype(jnp.float64)
