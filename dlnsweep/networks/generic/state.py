"""What a run of the generic way is given, and what changes during it."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.networks.generic.averages import Average
from dlnsweep.numerics.lazy import jax, jnp


class Samples(NamedTuple):
    """What a network learns from.

    Attributes:
        inputs: Y, one sample a column. Of another task whatever `predict` takes, any pytree.
        targets: X; of another task whatever the loss compares outputs with.
    """

    inputs: Any
    targets: Any

    @property
    def signal_norm(self) -> Float[Array, ""]:
        """||X||_F."""
        return jnp.linalg.norm(self.targets)


class Constants(NamedTuple):
    """A run's data and numbers.

    Attributes:
        samples: The samples.
        numbers: The traced numbers of [training], by name, float64.
        network: Those of [network], in the precision of training.
        rates: The learning rate of each leaf of the parameters, float64.
        keys: The run's keys for what its steps draw, by purpose; None where they draw nothing.
        aside: What else observables of the network's kind need.
        limit: See `divergence.squared_limit`; of `watched`.
        stream: What fresh samples of each step are drawn from; None where none are.
        decays: The factor on the weight decay of each leaf, float64; None where all are 1.
        untrained: The leaves that are not trained, with None in the places of the others; None
            where all are trained.
    """

    samples: Samples
    numbers: dict[str, Float[Array, ""]]
    network: dict[str, Float[Array, ""]]
    rates: Any
    keys: Any = None
    aside: Any = None
    limit: Any = None
    stream: Any = None
    decays: Any = None
    untrained: Any = None


class State(NamedTuple):
    """What changes during a run.

    Attributes:
        params: The parameters.
        optimizer: The state of the optimizer's direction; None for gradient descent, of its flow
            the length that a substep begins with.
        active: Whether the run has neither diverged nor met `stop_when`.
        diverged_step: First step at which it had diverged (see `divergence.py`), or -1.
        lost: What has been rounded off the parameters so far; see `compensated.py`.
        average: Their average over the steps; None, and no leaf, without `training.ema_decay`.
    """

    params: Any
    optimizer: Any
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Any
    average: Average | None = None

    @property
    def recorded(self) -> Any:
        """The parameters that are recorded: their average where there is one."""
        return self.params if self.average is None else self.average.params


def whole(params: Any, constants: Constants) -> Any:
    """Return all parameters, of those that are trained."""
    if constants.untrained is None:
        return params
    both = params, constants.untrained
    return jax.tree.map(lambda a, b: b if a is None else a, *both, is_leaf=is_none)


def is_none(value: Any) -> bool:
    """Return whether a leaf has been left out of a tree."""
    return value is None
