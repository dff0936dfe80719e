"""[sweep.warm_start] in a sweep file: what cannot begin with given weights, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at. Which weights
there are is found when a plan is made; see `execution/warm_start.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.network import REDUCED_INPUTS
from dlnsweep.settings.warm_start import WARM_START

_KEY = WARM_START
# Ways that find what they may leave out from weights that they draw.
NOT_BY = ("reduced", "jumps", REDUCED_INPUTS)


def check_warm_start(values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Check that nothing is asked for beside given weights that needs drawn ones."""
    warm = values.get(_KEY, (None,))[0]
    if warm is None:
        return
    for key, wanted in warm.where.items():
        if len(wanted) > 1:
            yield f"{_KEY}.where names '{key}' with several values; give the one to start from."
    kernel = values.get("sweep.kernel", ("auto",))[0]
    if kernel in NOT_BY:
        yield (
            f'{_KEY} is given and sweep.kernel is "{kernel}", which draws the weights that it '
            'starts from; take "auto" or "generic".'
        )
    if "law" in values.get("network.initial_weights", ()):
        yield (
            f'{_KEY} is given and network.initial_weights is "law", which has no weights; leave '
            "one of them out."
        )
    if "law" in values.get("problem.inputs", ()):
        yield (
            f'{_KEY} is given and problem.inputs is "law", which draws no inputs that a given '
            "first layer could act on; draw them, or leave it out."
        )
    if values.get("training.prescription", ("none",))[0] != "none":
        yield (
            f"{_KEY} is given and training.prescription is of drawn weights; leave one of them out."
        )
    if values.get("sweep.go_on_from", ("",))[0]:
        yield (
            f"{_KEY} and sweep.go_on_from are both given; a run begins with given weights or goes "
            "on from a state: leave one of them out."
        )
    if values.get("sweep.until", (None,))[0] is not None:
        yield (
            f"{_KEY} and sweep.until are both given, but rounds add seeds for which there may be "
            "no weights; leave one of them out, and list the seeds."
        )
    refine = values.get("sweep.refine", (None,))[0]
    if refine is not None and refine.between.startswith("network."):
        yield (
            f"{_KEY} is given and sweep.refine.between is '{refine.between}', but there are no "
            "weights of the networks that rounds add; leave one of them out, and list the values."
        )
