"""A run of the generic way as functions of all its parameters as one vector, for time jumps."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array

from dlnsweep.contracts.descent import Inputs
from dlnsweep.jumps.derivatives import jacobian, root
from dlnsweep.jumps.flow import Vector
from dlnsweep.jumps.layers import LayeredDescent, Layers, layers_of
from dlnsweep.jumps.momentum import Momentum
from dlnsweep.jumps.rules import GradientDescent, Rule
from dlnsweep.jumps.walk import Motion, Walk
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.factors import decays_of
from dlnsweep.networks.generic.state import Constants, State
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.vectors import flat, like
from dlnsweep.optimizers.directions import direction_of

# The most outputs on all samples whose tangent kernel is decomposed at each jump.
MOST_OUTPUTS = 512
# What a jump by layers takes beside its gradients, in gradients.
_BESIDE = 100


def rule_of(kernel: GenericKernel, constants: Constants, params: Any) -> Rule:
    """Return how steps are made of gradients; see `motion_of` for the arguments."""
    name = kernel.training.optimizer
    if by_layers(kernel, constants, params):
        return LayeredDescent(tuple(layer.shape for layer in params))
    if name == "gradient_descent":
        return GradientDescent()
    return Momentum(constants.numbers["momentum"], name == "nesterov")


def outputs_of(kernel: GenericKernel, constants: Constants, params: Any) -> int:
    """Return the number of outputs on all samples that a step needs."""
    return jax.eval_shape(kernel.outputs, params, constants).size


def by_layers(kernel: GenericKernel, constants: Constants, params: Any) -> bool:
    """Return whether the fast part is found by products (`jumps/layers.py`)."""
    return (
        outputs_of(kernel, constants, params) > MOST_OUTPUTS
        and kernel.training.optimizer == "gradient_descent"
        and kernel.as_layers(constants) is not None
    )


def motion_of(kernel: GenericKernel, constants: Constants, params: Any) -> Motion:
    """Return a run's steps.

    Args:
        kernel: The generic way of its network.
        constants: The run's, with as few samples as steps need.
        params: Parameters, for their shapes.
    """
    numbers, rule = constants.numbers, rule_of(kernel, constants, params)
    scale = numbers["data_fit_scale"]
    layered = kernel.as_layers(constants) if isinstance(rule, LayeredDescent) else None
    decay = decays_of(numbers["weight_decay"], constants.decays, params)

    def spread(tree: Any) -> Vector:
        whole = jax.tree.map(lambda p, x: jnp.broadcast_to(x, p.shape), params, tree)
        return flat(whole)

    rates, decays = spread(constants.rates), spread(decay)

    def fit(vector: Any) -> Any:
        return kernel.fit(like(vector, params), constants)

    def outputs(vector: Any) -> Any:
        return kernel.outputs(like(vector, params), constants)

    def products(vector: Any) -> Layers:
        assert layered is not None
        inputs, factor = layered
        if inputs.shape[1] > inputs.shape[0]:
            # No error or rate tells it from other inputs with the same Y Y^T.
            inputs = root(multiply(inputs, inputs.T))
        factors = scale * factor * jnp.stack(constants.rates)
        return layers_of(like(vector, params), inputs, factors)

    def derivatives(vector: Any) -> Any:
        found = jacobian(outputs, vector)
        if not kernel.is_squared:

            def loss(o: Any) -> Any:
                return kernel.loss_of(o, params, constants)

            found = multiply(root(jax.hessian(loss)(outputs(vector))), found)
        return found * jnp.sqrt(scale) * jnp.sqrt(rates)

    def advance(walk: Walk, stop: Array) -> Walk:
        own = like(rule.parameters(walk.point), params)
        memory = None
        if isinstance(rule, Momentum):
            memory = _memory(kernel, numbers, rates, rule.displacement(walk.point), params)
        state = State(own, memory, walk.active, walk.diverged_step, ())
        made = kernel.advance(Inputs(constants, decay, {}, None), state, walk.now, stop)
        point = flat(made.params)
        if isinstance(rule, Momentum):
            point = jnp.concatenate([point, -rates * flat(made.optimizer)])
        return walk._replace(
            point=point,
            active=made.active,
            diverged_step=made.diverged_step,
            now=stop,
            steps=walk.steps + stop - walk.now,
        )

    return Motion(
        rule=rule,
        descent=lambda vector: -rates * (scale * jax.grad(fit)(vector) + decays * vector),
        derivatives=derivatives if layered is None else products,
        size=lambda vector: jnp.sqrt(2 * scale * fit(vector)),
        roots=jnp.where(rates > 0, jnp.sqrt(rates), 1.0),
        decays=rates * decays,
        advance=advance,
        dearness=outputs_of(kernel, constants, params) if layered is None else _BESIDE,
    )


def _memory(
    kernel: GenericKernel, numbers: Any, rates: Vector, displacement: Vector, params: Any
) -> Any:
    """Return the optimizer's state: the sum of gradients that made a displacement."""
    safe = jnp.where(rates > 0, rates, 1.0)
    sums = like(jnp.where(rates > 0, -displacement / safe, 0.0), params)
    empty = jax.eval_shape(direction_of(kernel.training.optimizer, numbers).init, params)
    return jax.tree.unflatten(jax.tree.structure(empty), jax.tree.leaves(sums))
