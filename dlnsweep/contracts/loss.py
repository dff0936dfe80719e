"""What a loss of outputs and targets is, and the table of all of them. No JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.contracts.words import add_word
from dlnsweep.settings.training import LOSS_WORDS


@dataclass(frozen=True)
class Loss:
    """A loss that networks on samples can be trained by.

    Attributes:
        name: Its word in training.loss.
        function: Takes outputs and targets, whose last axis is that of the samples; returns a
            scalar, which must not be negative.
        reduction: Whether it is a "sum" over samples or their "mean"; minibatches need to know.
        version: What its runs are known by; by default a hash of the source of `function`, and of
            what that imports from beside it.
    """

    name: str
    function: Callable[[Any, Any], Any]
    reduction: Literal["sum", "mean"] = "sum"
    version: str = ""


LOSSES: Registry[str, Loss] = Registry()


def register_loss(loss: Loss) -> Loss:
    """Make a loss known under its name.

    Raises:
        ValueError: If the name is taken, or is none.
    """
    must_be(loss, Loss, "register_loss")
    if loss.reduction not in ("sum", "mean"):
        raise ValueError(
            f"loss {loss.name!r}: reduction is {loss.reduction!r}; it must be 'sum' or 'mean'"
        )
    add_word(LOSS_WORDS, "loss", loss.name, (loss.function,), loss.version)
    LOSSES[loss.name] = loss
    return loss
