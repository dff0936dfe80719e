"""A network in pure functions as a kind that the engine can ask; `register_network`. No JAX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dlnsweep.contracts.loss import LOSSES
from dlnsweep.contracts.network import Network, NetworkKind, StepCost, register
from dlnsweep.contracts.observable import OBSERVABLES, Dimensions, of_any_network
from dlnsweep.contracts.plugins import SHARED, is_loading
from dlnsweep.contracts.sources import source_of
from dlnsweep.settings.sections import OF_NETWORK

# One core, by the ways of other kinds; see networks/layered/kind.py.
_FLOPS_A_SECOND = 8e9
_DISPATCH_SECONDS = 1e-5
_GUESSED_WIDTH = 64
_TYPES = {bool, int, float, str, type(None)}


class GenericKind(NetworkKind):
    """A network that a researcher wrote, trained by the generic way.

    Args:
        network: The network.
    """

    task = "samples"
    views = ("samples", "parameters")
    drawing = generic = "dlnsweep.networks.generic.draw:GenericDrawing"
    honoured = {  # noqa: RUF012 - the same for all, and never changed
        "training.step_rule": ("uniform",),
        "training.prescription": ("none",),
    }

    def __init__(self, network: Network) -> None:
        self.network = network
        self.kind, self.settings = network.kind, network.settings
        self.observables = network.observables
        self.version = network.version or _source_of(network)
        # A plug-in may have it from another module, which workers then load with it.
        self._shared = is_loading()

    def step_cost(self, row: Mapping[str, Any], width: int) -> StepCost:
        """Estimate a step of a run, roughly: as of a network of two layers of some width."""
        width = width if "network.width" in row else _GUESSED_WIDTH
        sizes = row["problem.signal_dim"] + row["problem.measurement_dim"]
        samples = row.get("problem.num_samples") or sizes
        item = 8 if row["sweep.precision"] == "float64" else 4
        flops = 6 * samples * sizes * width
        state = item * (3 * sizes * width + 2 * samples * (width + sizes))
        return StepCost(flops, state, flops / _FLOPS_A_SECOND + _DISPATCH_SECONDS)

    @property
    def losses(self) -> tuple[str, ...]:
        """The values of training.loss with which it is trained: its own, or any if it has none."""
        return (OF_NETWORK,) if self.network.loss is not None else (OF_NETWORK, *LOSSES)

    def dimensions(self, row: Mapping[str, Any]) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        levels = row.get("record.noise_levels") or ()
        sizes = row["problem.signal_dim"], row["problem.measurement_dim"]
        return Dimensions(*sizes, 0, len(levels))

    def why_not_reducible(self, row: Mapping[str, Any], width: int) -> str:
        """Return why a run gets no other way: there is none."""
        return "a network of one's own"

    def why_not_trainable(self, row: Mapping[str, Any]) -> str:
        """Return what is wrong with the network's functions, as found on one run; else nothing."""
        from dlnsweep.networks.generic.trial import why_not

        return why_not(row)

    def homes(self) -> tuple[str, ...]:
        """Return the modules, as dotted names, of which a worker process must know one."""
        return (SHARED,) if self._shared else (self.network.settings.__module__,)

    def label(self, name: str, label: str) -> str:
        """Return a label with f(Y) in place of W_{L:1} Y."""
        return of_any_network(label)


def register_network(network: Network) -> Network:
    """Make a network known under its kind; runs of it are planned, trained and drawn like others.

    Raises:
        ValueError: If the kind is taken, or something of it cannot be a network's.
    """
    for wrong in _mistakes(network):
        raise ValueError(f"network {network.kind!r}: {wrong}")
    register(GenericKind(network))
    return network


def _mistakes(network: Network) -> Iterator[str]:
    if not network.kind.isidentifier() or network.kind != network.kind.lower():
        yield "its kind must be a lower-case identifier"
    fields = network.settings.model_fields
    if "kind" not in fields or fields["kind"].default != network.kind:
        yield f'its settings need the field kind: Literal["{network.kind}"] = "{network.kind}"'
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
    if "width" in fields and fields["width"].annotation is not int:
        yield "its setting width must be an int: arrays are sized by it"


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
    parts += [network.loss] if network.loss is not None else []
    return source_of(parts, f"network {network.kind!r}", 'Network(..., version="1")')
