"""The optimizers that come from optax; plain gradient descent has a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dlnsweep.lazy import optax
from dlnsweep.sections import TrainingSettings

if TYPE_CHECKING:
    from optax import GradientTransformation


def _heavy_ball(settings: TrainingSettings, nesterov: bool) -> GradientTransformation:
    return optax.trace(decay=settings.momentum, nesterov=nesterov)


def _adam(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_adam(b1=settings.beta1, b2=settings.beta2, eps=settings.epsilon)


def _adamw(settings: TrainingSettings) -> GradientTransformation:
    return optax.chain(_adam(settings), optax.add_decayed_weights(settings.weight_decay))


def _rmsprop(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_rms(decay=settings.rmsprop_decay, eps=settings.epsilon, eps_in_sqrt=False)


# Direction of each optimizer, before the factor -eta_i. The numbers may be tracers.
DIRECTIONS: dict[str, Callable[[TrainingSettings], GradientTransformation]] = {
    "momentum": lambda settings: _heavy_ball(settings, nesterov=False),
    "nesterov": lambda settings: _heavy_ball(settings, nesterov=True),
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
}

# AdamW applies weight decay to the weights itself; for the others it is part of the gradient.
DECOUPLED_DECAY = frozenset({"adamw"})
