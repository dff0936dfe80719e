"""Which runs the reduced kernel can train."""

from __future__ import annotations

from collections.abc import Sequence

from dlnsweep.contracts.observable import OBSERVABLES

# Optimizers whose steps keep the weights in the spaces that gradient descent visits.
_REDUCIBLE = ("gradient_descent", "momentum", "nesterov")


def why_not_reduced(
    optimizer: str,
    depth: int,
    observables: Sequence[str],
    minibatch_size: int = 0,
    weights: object = (),
) -> str:
    """Return why the reduced kernel cannot train a run; empty if it can."""
    if weights:
        return "it has no weights to keep, only what they do to few directions"
    if minibatch_size:
        return "minibatches leave the spaces that the full gradient visits"
    if optimizer not in _REDUCIBLE:
        return f"{optimizer} does not keep to the spaces that gradient descent visits"
    if depth == 1:
        return "a network of depth 1 has no hidden layer"
    for name in observables:
        if OBSERVABLES[name].needs_layers:
            return f"{name} needs the weights themselves"
    return ""
