"""What `sweep.kernel = "reduced_inputs"` cannot train on the span of the samples, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.network import REDUCED_INPUTS, find_network
from dlnsweep.contracts.on_span import why_not_on_span
from dlnsweep.contracts.problem import PROBLEMS

Values = Mapping[str, Sequence[Any]]

_WHY = f'sweep.kernel is "{REDUCED_INPUTS}", which trains coordinates of the samples\' span'
_WHY_LAW = "problem.inputs is 'law', which trains coordinates of the samples' span"

# What inputs by their law have in place of the generic way.
_DRAWN = 'problem.inputs = "gaussian"'


def check_spans(values: Values) -> Iterator[str]:
    """Check that a sweep whose inputs are to be reduced to their span is the same there."""
    kernel = values.get("sweep.kernel", ("auto",))[0]
    if kernel != REDUCED_INPUTS:
        if not _by_law(values):
            return
        if kernel != "auto" or not _has_span(values):
            yield (
                "problem.inputs is 'law', by which no inputs are drawn but coordinates in their "
                f'span: set sweep.kernel = "{REDUCED_INPUTS}", of a network that has it (mlp).'
            )
            return
    asked = _WHY if kernel == REDUCED_INPUTS else _WHY_LAW
    for why in why_not_on_span(values):
        # The generic way needs inputs that are drawn.
        way = why.replace('"generic"', _DRAWN) if _by_law(values) else why
        yield f"{asked}; {way}"


def _by_law(values: Values) -> bool:
    kind = values.get("problem.kind", (None,))[0]
    known = kind in PROBLEMS and PROBLEMS[kind].law is not None
    return known and "law" in values.get("problem.inputs", ())


def _has_span(values: Values) -> bool:
    kind = values.get("network.kind", (None,))[0]
    return bool(find_network(values["problem.kind"][0], kind).on_span)
