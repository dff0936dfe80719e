"""A network in pure functions as a kind that the engine can ask; `register_network`. No JAX."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dlnsweep.contracts.network import Network, NetworkKind, StepCost, register
from dlnsweep.contracts.observable import OBSERVABLES, Dimensions, of_any_network
from dlnsweep.contracts.plugins import SHARED, is_loading

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
        self.version = network.version or source_of(network)
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


def source_of(network: Network) -> str:
    """Return a hash of the source of a network's functions and settings, and of what they import.

    Of what their modules import by name that counts which lies in their folders, or below.

    Raises:
        ValueError: If a function has no source file, as in an interactive session.
    """
    parts = [network.settings, network.init, network.predict]
    parts += [network.loss] if network.loss is not None else []
    try:
        files = {inspect.getfile(inspect.unwrap(part)): part.__module__ for part in parts}
        found = {Path(file).resolve() for file in files}
        todo, folders = list(files.values()), {file.parent for file in found}
        while todo:
            for name, file in _imported(todo.pop()):
                if file not in found and folders & set(file.parents) and not _installed(name, file):
                    found.add(file)
                    todo.append(name)
        contents = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in found)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"network {network.kind!r}: a function of it has no source file to tell its version "
            f'by ({error}); give Network(..., version="1"), and another one when it changes'
        ) from error
    return hashlib.sha256("".join(contents).encode()).hexdigest()[:16]


def _installed(name: str, file: Path) -> bool:
    """Return whether a module is a package's, though its environment lies beside a plug-in."""
    ours = name.partition(".")[0] == SHARED
    return ours or bool({"site-packages", "dist-packages"} & set(file.parts))


def _imported(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules that a module's names are from, with their files."""
    for value in list(vars(sys.modules[name]).values()):
        other = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        file = getattr(sys.modules.get(other), "__file__", None) if isinstance(other, str) else None
        # What stands for a module until it is used (JAX, here) has no file.
        if isinstance(file, str) and isinstance(other, str):
            yield other, Path(file).resolve()
