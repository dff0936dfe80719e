"""Which runs the reduced kernel can train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.reasons import Reason

# Optimizers whose steps keep the weights in the spaces that gradient descent visits.
_REDUCIBLE = ("gradient_descent", "momentum", "nesterov")
# Beyond it a float plus one may be itself: the pilot would stand still.
_MOST_STEPS = 2**53


def reasons_not_reduced(
    optimizer: str,
    depth: int,
    observables: Sequence[str],
    minibatch_size: int = 0,
    weights: object = (),
    num_steps: int = 0,
) -> Iterator[Reason]:
    """Yield each reason why the reduced kernel cannot train a run.

    Args:
        optimizer: training.optimizer.
        depth: network.depth.
        observables: record.observables.
        minibatch_size: training.minibatch_size.
        weights: record.weights.
        num_steps: training.num_steps.
    """
    if weights:
        yield Reason(
            "weights",
            "it has no weights to keep, only what they do to few directions",
            {"record.weights": None},
        )
    if minibatch_size:
        yield Reason(
            "minibatches",
            "minibatches leave the spaces that the full gradient visits",
            {"training.minibatch_size": 0},
        )
    if optimizer not in _REDUCIBLE:
        yield Reason(
            "optimizer",
            f"{optimizer} does not keep to the spaces that gradient descent visits",
            {"training.optimizer": _REDUCIBLE[0]},
        )
    if depth == 1:
        yield Reason("depth", "a network of depth 1 has no hidden layer", {"network.depth": 2})
    if num_steps > _MOST_STEPS:
        yield Reason(
            "steps",
            "its pilot goes by floats, which count no more than 2^53 steps",
            {"training.num_steps": _MOST_STEPS},
        )
    others = [name for name in observables if not OBSERVABLES[name].needs_layers]
    for name in observables:
        if name not in others:
            yield Reason(
                "observable",
                f"{name} needs the weights themselves",
                {"record.observables": others or ["regression_error"]},
            )
