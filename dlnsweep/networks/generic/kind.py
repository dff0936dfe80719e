"""A network in pure functions as a kind that the engine can ask; `register_network`. No JAX.

This package's own networks without kernels of their own come by the same road.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dlnsweep.contracts.loss import LOSSES
from dlnsweep.contracts.network import (
    REDUCED_INPUTS,
    Network,
    NetworkKind,
    StepCost,
    register,
)
from dlnsweep.contracts.observable import OBSERVABLES, Dimensions, of_any_network
from dlnsweep.contracts.plugins import SHARED, is_loading
from dlnsweep.contracts.problem import PROBLEMS, is_by_law, with_drawn_inputs
from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.contracts.sources import source_of
from dlnsweep.networks.generic import on_span
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.training import LOSS_WORDS, OF_NETWORK
from dlnsweep.settings.words import words_of

# One core, by the ways of other kinds; see networks/layered/kind.py.
_FLOPS_A_SECOND = 8e9
# Products over all samples where they are counted, in float64; float32 is twice as fast.
_WIDE_FLOPS_A_SECOND = 30e9
_DISPATCH_SECONDS = 1e-5
_TYPES = {bool, int, float, str, type(None)}


class GenericKind(NetworkKind):
    """A network in pure functions, a researcher's or our own, trained by the generic way.

    Args:
        network: The network.
    """

    task = "samples"
    views = ("samples", "parameters")
    drawing = generic = "dlnsweep.networks.generic.draw:GenericDrawing"
    honoured = {  # noqa: RUF012 - the same for all, and never changed
        "training.prescription": ("none",),
    }

    def __init__(self, network: Network) -> None:
        self.network = network
        self.kind, self.settings = network.kind, network.settings
        self.observables = network.observables
        self.squared = network.loss is None and network.task == GenericKind.task
        self.layered = network.structure.layer_of is not None
        if network.structure.input_axes is not None:
            self.on_span = "dlnsweep.networks.reduced_inputs.draw:SpanDrawing"
        self._ours = network.settings.__module__.partition(".")[0] == SHARED
        # Of this package's own the package's version tells.
        self.version = network.version or ("" if self._ours else _source_of(network))
        # A plug-in may have it from another module, which workers then load with it.
        self._shared = is_loading()

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run, by what a prediction takes; else as of two layers, roughly."""
        outputs, inputs = row["problem.signal_dim"], row["problem.measurement_dim"]
        sizes = outputs + inputs
        # Fresh samples of a step may be more than those that are recorded.
        samples = max(row.get("problem.num_samples") or sizes, row["training.minibatch_size"])
        item = 8 if row["sweep.precision"] == "float64" else 4
        count = self.network.multiplications
        if count is None:
            width = width if row.get("network.width") else on_span.GUESSED_WIDTH
            products, held, speed = sizes * width, width + sizes, _FLOPS_A_SECOND
        else:
            products = count(row.section("network", self.settings), inputs, outputs)
            # Of matrices of about one size that act on a sample.
            held, speed = sizes + 2 * math.isqrt(products), _WIDE_FLOPS_A_SECOND * 8 / item
        # Forward, backward and for the gradient; parameters, gradient and a change of them.
        flops = 6 * samples * products
        state = item * (3 * products + 2 * samples * held)
        return StepCost(flops, state, flops / speed + _DISPATCH_SECONDS)

    def generic_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run by the generic way, perhaps on the span of the samples."""
        if self.kernel_of(row) != REDUCED_INPUTS:
            return self.step_cost(row, width)
        rank = on_span.rank_of(row)
        cost = self.step_cost(row | {"problem.measurement_dim": rank}, width)
        if is_by_law(row):
            return cost
        # All inputs and their basis, and the first layer, as they are drawn, with a copy of each.
        layer = width if row.get("network.width") else on_span.GUESSED_WIDTH
        drawn = 16 * row["problem.measurement_dim"] * (2 * rank + layer)
        return replace(cost, draw_bytes=drawn + cost.state_bytes)

    def why_full(self, row: RunSettings, width: int) -> Reason | None:
        """Return why a run is not for the reduced kernel; where inputs are, that they are."""
        if self.kernel_of(row) != REDUCED_INPUTS:
            return super().why_full(row, width)
        law = ", drawn by their law" if is_by_law(row) else ""
        found = f"inputs in the {on_span.rank_of(row):,} dimensions of their span{law}"
        if row["sweep.kernel"] == REDUCED_INPUTS:
            return Reason("asked", f"asked for; {found}", {"sweep.kernel": "generic"})
        whole = found if law else f"{found}, exactly, of {row['problem.measurement_dim']:,}"
        return Reason("on_span", whole, {} if law else {"sweep.kernel": "generic"})

    def kernel_of(self, row: RunSettings) -> str:
        """Return the kernel; "auto" reduces inputs to their span where that is exact and pays."""
        asked = row["sweep.kernel"]
        taken = asked == "auto" and ((self.on_span and is_by_law(row)) or not self._why_whole(row))
        return REDUCED_INPUTS if taken else asked

    def _why_whole(self, row: RunSettings) -> Reason | None:
        """Return why "auto" leaves a run its inputs as they are; None if it does not."""
        if not self.on_span:
            return Reason("generic", "there is only the generic way")
        return on_span.why_not(row) or on_span.why_not_worth(row, self.step_cost)

    def run_class(self, row: RunSettings, numbers: Mapping[str, Any]) -> Any:
        """Return whether "auto" reduces inputs, which may be for the longer runs alone."""
        if row["sweep.kernel"] != "auto" or not self.on_span or is_by_law(row):
            return 0
        if on_span.why_not(row):
            return 0
        return on_span.is_worth(row, self.step_cost, numbers["training.num_steps"])

    def size_class(self, key: str, value: Any, values: Mapping[str, Any]) -> Any:
        """Return what runs must have in common in a static setting to share a program."""
        problem = PROBLEMS[values["problem.kind"][0]]
        law = problem.law is not None and set(values["problem.inputs"]) == {"law"}
        return 0 if law and key == "problem.measurement_dim" else value

    @property
    def losses(self) -> tuple[str, ...]:
        """The values of training.loss with which it is trained: its own, or any if it has none."""
        return (OF_NETWORK,) if self.network.loss is not None else (OF_NETWORK, *LOSSES)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        levels = row.get("record.noise_levels") or ()
        sizes = row["problem.signal_dim"], row["problem.measurement_dim"]
        return Dimensions(*sizes, int(row.get("network.depth") or 0), len(levels))

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason | None:
        """Return why "auto" takes the generic way for a run."""
        return self._why_whole(row)

    def why_not_trainable(self, row: RunSettings) -> str:
        """Return what is wrong with the network's functions, as found on one run; else nothing."""
        from dlnsweep.networks.generic.trial import why_not

        row = with_drawn_inputs(row)
        # Of our own it costs a compilation too many to compute what is known: only the shapes are
        # looked at, which the problem may not fit.
        return why_not(row, computed=not self._ours or self._reads_strangers(row))

    def _reads_strangers(self, row: RunSettings) -> bool:
        """Return whether a run has a loss, an initializer or the like of someone else's."""
        found = [(LOSS_WORDS, row["training.loss"])]
        for key, field in self.settings.model_fields.items():
            if words := words_of(field.metadata):
                found.append((words, row[f"network.{key}"]))
        return any(words.version(word) for words, word in found)

    def homes(self) -> tuple[str, ...]:
        """Return the modules, as dotted names, of which a worker process must know one."""
        return (SHARED,) if self._shared else (self.network.settings.__module__,)

    def label(self, name: str, label: str) -> str:
        """Return a label with f(Y) in place of W_{L:1} Y, and of a loss that may be any."""
        if name == "loss":
            return r"loss $c\,\ell(f(Y),X)+\frac{\lambda}{2}\|\theta\|^2$"
        return of_any_network(label)


# What a network in pure functions is to the engine, by its task.
TASKS: Registry[str, type[GenericKind]] = Registry()


def register_network(network: Network) -> Network:
    """Make a network known under its kind; runs of it are planned, trained and drawn like others.

    Raises:
        ValueError: If the kind is taken, or something of it cannot be a network's.
    """
    must_be(network, Network, "register_network")
    for wrong in _mistakes(network):
        raise ValueError(f"network {network.kind!r}: {wrong}")
    register(TASKS[network.task](network))
    return network


def _mistakes(network: Network) -> Iterator[str]:
    if not network.kind.isidentifier() or network.kind != network.kind.lower():
        yield "its kind must be a lower-case identifier"
    fields = network.settings.model_fields
    if "kind" not in fields or fields["kind"].default != network.kind:
        yield f'its settings need the field kind: Literal["{network.kind}"] = "{network.kind}"'
    if network.task not in TASKS:
        yield f"task is {network.task!r}; it must be {' or '.join(map(repr, TASKS))}"
    elif network.task != GenericKind.task:
        yield from _mistakes_of_matrix(network)
    if network.reduction not in ("sum", "mean"):
        yield f"reduction is {network.reduction!r}; it must be 'sum' or 'mean'"
    for name in network.observables:
        if name not in OBSERVABLES:
            yield f"observables names {name!r}, which is not known; register it before the network"
    for name, field in fields.items():
        # A list would be an axis, and a table a range.
        if not _is_value(field.annotation):
            yield (
                f"its setting {name} is of type {field.annotation}; it must be bool, int, float, "
                "str or a Literal of such"
            )
    depth = fields.get("depth")
    if network.structure.layer_of is not None and (depth is None or depth.annotation is not int):
        yield "it has layers, so its settings need depth, an int: their number"
    if "width" in fields and fields["width"].annotation is not int:
        yield "its setting width must be an int: arrays are sized by it"


def _mistakes_of_matrix(network: Network) -> Iterator[str]:
    own = network.structure
    given = {
        "loss": network.loss is not None,
        "reduction": network.reduction != "sum",
        "structure.hidden": own.hidden is not None,
        "structure.input_axes": own.input_axes is not None,
    }
    for what, found in given.items():
        if found:
            yield (
                f"task is {network.task!r}, which has no samples and the problem's loss; leave "
                f"{what} out"
            )


def _is_value(annotation: Any) -> bool:
    """Return whether a setting of this type has one value, as a column has."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_value(inner[0])
    if origin in (Union, UnionType):
        return all(map(_is_value, inner))
    return origin is Literal or annotation in _TYPES


def _source_of(network: Network) -> str:
    parts = [network.settings, network.init, network.predict]
    own = network.structure
    more = (network.loss, network.rates, network.trained, own.hidden, own.layers, own.layer_of)
    more += (own.input_axes, own.input_multiplier, own.input_law, own.tangent_kernel)
    parts += [each for each in more if each is not None]
    return source_of(parts, f"network {network.kind!r}", 'Network(..., version="1")')
