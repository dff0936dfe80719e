"""What can be recorded of a run: names, labels and the functions that compute them.

An observable is a function of a `NetworkView` (kernels/linear.py) and of the settings in
[record]. It is computed at recorded steps only, and costs nothing when it is not asked for.
Register your own with `register`.
"""

from __future__ import annotations

from collections.abc import Sequence

# Imported for what they register.
from dlnsweep.observables import deep_prior as deep_prior
from dlnsweep.observables import matrix as matrix
from dlnsweep.observables import network as network
from dlnsweep.observables.proof import CURVATURES, why_no_curvature
from dlnsweep.observables.registry import OBSERVABLES, VIEWS, Dimensions, Observable, register

__all__ = [
    "CURVATURES",
    "OBSERVABLES",
    "VIEWS",
    "Dimensions",
    "Observable",
    "register",
    "why_no_curvature",
    "why_not_reduced",
]

# Optimizers whose steps keep the weights in the spaces that gradient descent visits.
_REDUCIBLE = ("gradient_descent", "momentum", "nesterov")


def why_not_reduced(
    optimizer: str, depth: int, observables: Sequence[str], minibatch_size: int = 0
) -> str:
    """Return why the reduced kernel cannot train a run; empty if it can."""
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
