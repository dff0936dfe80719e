"""A network in pure functions as a kind that the engine can ask; `register_network`. No JAX."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlnsweep.contracts.network import Network, NetworkKind, StepCost, register
from dlnsweep.contracts.observable import Dimensions, of_any_network
from dlnsweep.contracts.plugins import SHARED, is_loading

# One core, by the ways of other kinds; see networks/layered/kind.py.
_FLOPS_A_SECOND = 8e9
_DISPATCH_SECONDS = 1e-5
_GUESSED_WIDTH = 64


class GenericKind(NetworkKind):
    """A network that a researcher wrote, trained by the generic way.

    Args:
        network: The network.
    """

    task = "samples"
    views = ("samples", "parameters")
    drawing = "dlnsweep.networks.generic.draw:GenericDrawing"
    honoured = {  # noqa: RUF012 - the same for all, and never changed
        "training.step_rule": ("uniform",),
        "training.prescription": ("none",),
        "sweep.kernel": ("auto", "dense"),
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

    def why_dense(self, row: Mapping[str, Any], width: int) -> str:
        """Return why a run gets no other way: there is none."""
        return "asked for" if row["sweep.kernel"] == "dense" else "a network of one's own"

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
        ValueError: If the kind is taken, its settings do not name it, or nothing tells its version.
    """
    kinds = network.settings.model_fields.get("kind")
    if kinds is None or kinds.default != network.kind:
        raise ValueError(
            f"the settings of network {network.kind!r} need the field "
            f'kind: Literal["{network.kind}"] = "{network.kind}"'
        )
    register(GenericKind(network))
    return network


def source_of(network: Network) -> str:
    """Return a hash of the source files of a network's functions and settings.

    Raises:
        ValueError: If one has no source file, as in an interactive session.
    """
    parts = [network.settings, network.init, network.predict]
    parts += [network.loss] if network.loss is not None else []
    try:
        files = sorted({inspect.getfile(inspect.unwrap(part)) for part in parts})
        digest = hashlib.sha256()
        for file in files:
            digest.update(Path(file).read_bytes())
    except (OSError, TypeError) as error:
        raise ValueError(
            f"network {network.kind!r}: a function of it has no source file to tell its version "
            f'by ({error}); give Network(..., version="1"), and another one when it changes'
        ) from error
    return digest.hexdigest()[:16]
