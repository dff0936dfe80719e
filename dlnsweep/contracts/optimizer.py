"""What an optimizer is, and the table of all of them. No JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.contracts.words import add_word
from dlnsweep.settings.base import Settings, is_traced_float
from dlnsweep.settings.optimizers import HYPERPARAMETERS, OPTIMIZER_WORDS
from dlnsweep.settings.training import TrainingSettings, used_by

# What an optimizer may ask for beside gradients.
ASKED = ("value", "rates", "key")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer: the direction of its steps, and its own keys of [training].

    With g the gradient of the objective, decay included, a step is

        theta <- theta - eta direction(g).

    Attributes:
        name: Its word in training.optimizer.
        direction: Takes [training] with its numbers (which may be tracers: not to be converted or
            compared in Python) and returns an `optax.GradientTransformation`, whose updates are
            directions: neither the learning rate nor the sign of descent is in them.
        numbers: A settings class with its own keys of [training]: traced floats with defaults.
        reads: Keys of other optimizers that it reads, such as "beta1".
        isotropic: Whether the direction is a combination of gradients and parameters, of all leaves
            as one vector, by factors that depend on inner products of them only (momentum; not
            Adam, which divides entry by entry).
        decoupled_decay: Whether the direction has the weight decay (`settings.weight_decay`) in
            it, as AdamW's; else it is part of the gradient.
        paddable: Whether entries that are zero, and whose gradients are, get no direction, and no
            other's depends on how many of them there are (not Yogi, whose averages begin at 1e-6):
            then narrow networks are trained within wider, zero-padded arrays, by one program.
        asks: What else its update is given by name, of `ASKED`: "value", the objective whose
            gradient it is given, decay included as there; "rates", the learning rate of each leaf
            at this step, float64; "key", two words of 32 bits, the run's own for what an optimizer
            draws (`numerics.streams.jax_key` makes a key of jax.random of them). Then the generic
            way alone trains with it.
        source: Where it is published, such as "arXiv:1412.6980": what `dlnsweep cite` gives.
        version: What its runs are known by; by default a hash of the source of `direction`, and
            of what that imports from beside it.
    """

    name: str
    direction: Callable[[Any], Any]
    numbers: type[Settings] | None = None
    reads: tuple[str, ...] = ()
    decoupled_decay: bool = False
    version: str = ""
    isotropic: bool = False
    paddable: bool = False
    source: str = ""
    asks: tuple[str, ...] = ()


OPTIMIZERS: Registry[str, Optimizer] = Registry()


def register_optimizer(optimizer: Optimizer) -> Optimizer:
    """Make an optimizer known under its name, and its numbers under their keys of [training].

    Networks with a dense kernel of their own for gradient descent alone refuse it, as they refuse
    Adam; the reduced kernel does not train with it.

    Raises:
        ValueError: If the name or a key is taken, or something of it cannot be an optimizer's.
    """
    must_be(optimizer, Optimizer, "register_optimizer")
    for wrong in _mistakes(optimizer):
        raise ValueError(f"optimizer {optimizer.name!r}: {wrong}")
    add_word(
        OPTIMIZER_WORDS, "optimizer", optimizer.name, (optimizer.direction,), optimizer.version
    )
    OPTIMIZERS[optimizer.name] = optimizer
    own = dict(optimizer.numbers.model_fields) if optimizer.numbers else {}
    for key in (*optimizer.reads, *own):
        HYPERPARAMETERS[key] = (*HYPERPARAMETERS.get(key, ()), optimizer.name)
    if own:
        TrainingSettings.model_fields.update(own)
        TrainingSettings.model_rebuild(force=True)
    TrainingSettings.used_by = used_by()
    return optimizer


def _mistakes(optimizer: Optimizer) -> Iterator[str]:
    for key in optimizer.reads:
        if key not in HYPERPARAMETERS:
            known = ", ".join(HYPERPARAMETERS)
            yield f"it reads {key!r}, which is no hyperparameter; known are {known}"
    for word in optimizer.asks:
        if word not in ASKED:
            yield f"it asks for {word!r}; an optimizer is given {', '.join(ASKED)}"
    if optimizer.asks and optimizer.isotropic:
        yield (
            f"it asks for {optimizer.asks[0]!r}, and says that it is isotropic, by inner products "
            "alone; leave isotropic out"
        )
    numbers = optimizer.numbers
    for key, field in (numbers.model_fields if numbers else {}).items():
        assert numbers is not None
        if key in TrainingSettings.model_fields:
            yield f"its number {key} is a key of [training] already; name it otherwise, or read it"
        if not is_traced_float(numbers, key) or field.is_required():
            yield (
                f"its number {key} must be a float with a default, described as traced: "
                f'{key}: Annotated[float, Describe("traced", "what it is")] = 0.9'
            )
