"""The learning rate of each layer, by the step rule."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.training import TrainingSettings


def fan_in_numbers(fan_ins: tuple[Any, ...]) -> Float[Array, " L"]:
    """Return the number of inputs of each layer as one array, float64."""
    return jnp.stack([jnp.asarray(f, jnp.float64) for f in fan_ins])


def layer_rates(
    training: TrainingSettings, numbers: TrainingSettings, fan_ins: tuple[Any, ...]
) -> Float[Array, " L"]:
    """Return eta_i of each layer, float64.

    Args:
        training: The settings of [training]; its step rule is read.
        numbers: [training] with its traced fields filled in.
        fan_ins: The number of inputs of each layer.
    """
    eta = jnp.asarray(numbers.learning_rate, jnp.float64)
    fan_in = fan_in_numbers(fan_ins)
    return eta / fan_in if training.step_rule == "fan_in" else eta * jnp.ones_like(fan_in)
