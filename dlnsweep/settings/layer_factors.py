"""What a key of [training] with numbers one a layer must hold."""

from __future__ import annotations

from dlnsweep.settings.by_layer import numbers_of
from dlnsweep.settings.sentences import show

# Factors one a layer; see by_layer.py.
BY_LAYER = ("learning_rate_factors", "weight_decay_factors")


def one_a_layer(factors: str, depth: int) -> bool:
    """Return whether there is a number for each layer, or none at all."""
    return not factors or len(numbers_of(factors)) == depth


def not_one_a_layer(key: str, factors: str, depth: int) -> str:
    """Return the sentence about a key of [training] of which that is not so."""
    count = len(numbers_of(factors))
    return (
        f"training.{key} is {show(factors)}, which has {count} number{'s' * (count != 1)}; "
        f"network.depth is {depth}: give one a layer."
    )
