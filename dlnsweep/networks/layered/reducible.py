"""Which runs the reduced kernel can train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.reasons import Reason

# Optimizers whose steps keep the weights in the spaces that gradient descent visits.
_REDUCIBLE = ("gradient_descent", "momentum", "nesterov")
# Beyond it a float plus one may be itself: the pilot would stand still.
_MOST_STEPS = 2**53
# What no rehearsal looks at: a difference that gets ever smaller while a truncated chain, whose
# steps follow the gradient of no loss, keeps moving. At a tolerance of 1e-3 it was seen to stay
# at 1.5e-8 where it was to fall to 1e-13.
_GRADIENT = "gradient_norm"
_NOT_ESTIMATED = Reason(
    "gradient",
    f"its estimate does not cover {_GRADIENT}, which keeps a floor near a stationary point",
    {"sweep.kernel": "reduced"},
)


def why_not_estimated(observables: Sequence[str]) -> Reason | None:
    """Return why an estimate of truncation does not hold for what is recorded; None if it does."""
    return _NOT_ESTIMATED if _GRADIENT in observables else None


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
