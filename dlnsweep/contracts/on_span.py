"""What is not the same on the span of a run's samples, as phrases. No JAX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.settings.sentences import show

# In the settings that a run's folder keeps beside its columns: the ways that `auto` knows beside
# those that it knew from the first; a folder that was begun before has none, and keeps its way.
AUTO_KNOWS = "sweep.auto_knows"


def as_given(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a folder keeps beside its columns without what is no key of a file.

    Args:
        shared: What the folder keeps, by dotted key.
    """
    return {key: value for key, value in shared.items() if key != AUTO_KNOWS}


def why_not_on_span(values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield what of a sweep, or of a run, coordinates of its samples' span cannot stand for.

    Args:
        values: The values of each setting, by its dotted key.
    """
    for name in values.get("training.optimizer", ()):
        if name in OPTIMIZERS and not OPTIMIZERS[name].isotropic:
            allowed = ", ".join(n for n, each in OPTIMIZERS.items() if each.isotropic)
            yield (
                f"training.optimizer is {show(name)}, whose steps depend on the coordinates, entry "
                f'by entry: take one of {allowed}, or "generic".'
            )
    flows = [value for value in values.get("training.flow_tolerance", ()) if value]
    if flows:
        yield (
            f"training.flow_tolerance is {show(flows[0])}, whose substeps go with the mean over "
            'all parameters: leave it out, or take "generic".'
        )
    if "one_pass" in values.get("training.minibatch_order", ()):
        yield (
            "training.minibatch_order is 'one_pass', by which fresh samples leave it at every "
            'step: take "epochs" or "replacement", or "generic".'
        )
    if values.get("record.weights", ([],))[0]:
        yield (
            "record.weights asks for the weights themselves, which it does not form: leave it out, "
            'or take "generic".'
        )
    for name in values.get("record.observables", ([],))[0] or ():
        if name in OBSERVABLES and not OBSERVABLES[name].basis_free:
            yield (
                f"record.observables names {show(name)}, which is of the inputs' own coordinates, "
                'as far as is known: leave it out, or take "generic".'
            )
        elif name == "principal_alignment" and 1 in values.get("network.depth", ()):
            yield (
                f"record.observables names {show(name)} and network.depth is 1, and of a single "
                'layer the columns are the inputs: leave it out, or take "generic".'
            )
