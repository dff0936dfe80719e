"""What [training] makes of a step of the generic way, before the optimizer's direction.

With L the loss of the step, in this order:

    L        of b of the n samples, drawn with replacement or in epochs (`minibatch_size`,
             `minibatch_order`), or of b fresh ones (one_pass); a sum over samples has weight n / b,
             so that its mean is the full loss. With `label_noise` sigma of targets X + sigma Z,
             Z standard Gaussian and fresh
    L'       = grad L(theta + rho grad L(theta) / ||grad L(theta)||)       with `sam_radius` rho
    L''      = min(1, C / ||c L'||) L'                                     with `clip_norm` C
    g        = c L'' + lambda theta
    eta      = s(t) learning_rate                           see optimizers/schedules.py

Sharpness-aware minimization is that of Foret, Kleiner, Mobahi and Neyshabur 2021,
arXiv:2010.01412, eq. (2) and (3) with p = 2: without second derivatives, and with the weight decay
left out of what is perturbed, as in their eq. (1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Int

from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.networks.layered.minibatches import draw_in_epochs, draw_samples
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import for_gradients
from dlnsweep.numerics.streams import step_gaussian, step_keys
from dlnsweep.optimizers import schedules
from dlnsweep.settings.training import TrainingSettings

_MINIBATCHES, _LABEL_NOISE = "training/minibatches", "training/label_noise"
_STREAM = "training/stream"
# What an optimizer draws.
OPTIMIZER = "training/optimizer"
# The purposes of the random numbers of a run's steps.
PURPOSES = (_MINIBATCHES, _LABEL_NOISE, _STREAM, OPTIMIZER)
# The numbers of [training] that are read here.
NUMBERS = ("data_fit_scale", "label_noise", "sam_radius", "clip_norm", *schedules.NUMBERS)

# All functions read of [training] its static fields, and which of `training.SWITCHES` are on: the
# same ones in all runs of a program.


def is_stochastic(training: TrainingSettings) -> bool:
    """Return whether the losses of a run's steps are of numbers that they draw."""
    return bool(training.minibatch_size or training.label_noise)


def takes_keys(training: TrainingSettings) -> bool:
    """Return whether the steps of a run draw numbers, for their loss or for their direction."""
    return is_stochastic(training) or "key" in OPTIMIZERS[training.optimizer].asks


def is_one_pass(training: TrainingSettings) -> bool:
    """Return whether each step has samples of its own."""
    return training.minibatch_order == "one_pass"


def draw_step(
    training: TrainingSettings,
    reduction: str,
    samples: Any,
    keys: Mapping[str, Any],
    numbers: Mapping[str, Any],
    now: Int[Array, ""],
    fresh: Callable[[Any, int], tuple[Any, Any]] | None = None,
) -> tuple[Any, float]:
    """Return the samples of a step, and the weight of their loss.

    Args:
        training: The settings of [training].
        reduction: Whether the loss is a "sum" over samples or their "mean".
        samples: All samples, as a named tuple of inputs (m, n) and targets (d, n).
        keys: The run's keys by purpose.
        numbers: The traced numbers of [training].
        now: The number of the step.
        fresh: Takes keys by purpose and a number; returns as many fresh targets and inputs.
    """
    inputs, targets = samples
    weight, size, total = 1.0, training.minibatch_size, targets.shape[-1]
    if is_one_pass(training):
        assert fresh is not None
        drawn = fresh(step_keys(keys[_STREAM], now), size)
        targets, inputs = (each.astype(targets.dtype) for each in drawn)
        weight = total / size if reduction == "sum" else 1.0
    elif size:
        draw = draw_in_epochs if training.minibatch_order == "epochs" else draw_samples
        chosen = draw(keys[_MINIBATCHES], now, size, total)
        inputs, targets = inputs[:, chosen], targets[:, chosen]
        weight = total / size if reduction == "sum" else 1.0
    if training.label_noise:
        noise = step_gaussian(keys[_LABEL_NOISE], now, *targets.shape)
        targets = targets + (numbers["label_noise"] * noise).astype(targets.dtype)
    return samples._replace(inputs=inputs, targets=targets), weight


def value_and_gradients(
    training: TrainingSettings,
    objective: Callable[[Any], tuple[Any, Any]],
    params: Any,
    numbers: Mapping[str, Any],
) -> tuple[tuple[Any, Any], Any]:
    """Return a step's L with what came beside it, and L''.

    Args:
        training: The settings of [training].
        objective: Takes parameters; returns L, and something beside it.
        params: theta.
        numbers: The traced numbers of [training], in the precision of training.
    """
    same_inputs = not training.minibatch_size
    with for_gradients(same_inputs=same_inputs):
        (fit, beside), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    if training.sam_radius:
        norm = jnp.sqrt(sum_of_squares(gradients))
        # Where the gradient is zero there is no direction to go.
        reach = jnp.where(norm > 0, numbers["sam_radius"] / jnp.where(norm > 0, norm, 1), 0)
        moved = jax.tree.map(lambda p, g: p + reach * g, params, gradients)
        with for_gradients(same_inputs=same_inputs):
            gradients = jax.grad(objective, has_aux=True)(moved)[0]
    if training.clip_norm:
        norm = numbers["data_fit_scale"] * jnp.sqrt(sum_of_squares(gradients))
        longest = numbers["clip_norm"]
        kept = jnp.where(norm > longest, longest / norm, 1)
        gradients = jax.tree.map(lambda g: kept * g, gradients)
    return (fit, beside), gradients


def rates_at(
    training: TrainingSettings, rates: Any, numbers: Mapping[str, Any], now: Int[Array, ""]
) -> Any:
    """Return the learning rate of each leaf at a step, float64.

    Args:
        training: The settings of [training].
        rates: The learning rates that the schedule is a factor on, float64.
        numbers: The traced numbers of [training], float64.
        now: The number of the step.
    """
    warms_up = training.warmup_steps > 0
    factor = schedules.learning_rate_factor(training.schedule, warms_up, numbers, now)
    if isinstance(factor, float):
        return rates
    return jax.tree.map(lambda eta: eta * factor, rates)


def sum_of_squares(tree: Any) -> Array:
    """Return the sum of the squares of all entries of all leaves."""
    return jnp.sum(jnp.stack([jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)]))
