"""What `sweep.kernel = "reduced_inputs"` cannot train on the span of the samples, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.network import REDUCED_INPUTS
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.settings.sentences import show

Values = Mapping[str, Sequence[Any]]

_WHY = f'sweep.kernel is "{REDUCED_INPUTS}", which trains coordinates of the samples\' span'


def check_spans(values: Values) -> Iterator[str]:
    """Check that a sweep whose inputs are to be reduced to their span is the same there."""
    if values.get("sweep.kernel", ("auto",))[0] != REDUCED_INPUTS:
        if _by_law(values):
            yield (
                "problem.inputs is 'law', by which no inputs are drawn but coordinates in their "
                f'span: set sweep.kernel = "{REDUCED_INPUTS}", of a network that has it (mlp).'
            )
        return
    for name in values.get("training.optimizer", ()):
        if name in OPTIMIZERS and not OPTIMIZERS[name].isotropic:
            allowed = ", ".join(n for n, each in OPTIMIZERS.items() if each.isotropic)
            yield (
                f"{_WHY}; training.optimizer is {show(name)}, whose steps depend on the "
                f'coordinates, entry by entry: take one of {allowed}, or "generic".'
            )
    if "one_pass" in values.get("training.minibatch_order", ()):
        yield (
            f"{_WHY}; training.minibatch_order is 'one_pass', by which fresh samples leave it at "
            'every step: take "epochs" or "replacement", or "generic".'
        )
    if values.get("record.weights", ([],))[0]:
        yield (
            f"{_WHY}; record.weights asks for the weights themselves, which it does not form: "
            'leave it out, or take "generic".'
        )
    for name in values.get("record.observables", ([],))[0] or ():
        if name in OBSERVABLES and not OBSERVABLES[name].basis_free:
            yield (
                f"{_WHY}; record.observables names {show(name)}, which is of the inputs' own "
                'coordinates, as far as is known: leave it out, or take "generic".'
            )
        elif name == "principal_alignment" and 1 in values.get("network.depth", ()):
            yield (
                f"{_WHY}; record.observables names {show(name)} and network.depth is 1, and of a "
                'single layer the columns are the inputs: leave it out, or take "generic".'
            )


def _by_law(values: Values) -> bool:
    kind = values.get("problem.kind", (None,))[0]
    known = kind in PROBLEMS and PROBLEMS[kind].law is not None
    return known and "law" in values.get("problem.inputs", ())
