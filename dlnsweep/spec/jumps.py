"""What `sweep.kernel = "jumps"` cannot jump over, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.settings.sentences import show
from dlnsweep.settings.training import GENERIC_ONLY

Values = Mapping[str, Sequence[Any]]

# The only value of some settings with which a step is the same smooth map at every time.
_NEEDED: dict[str, Any] = {
    "sweep.precision": "float64",
    "training.minibatch_size": 0,
    **{f"training.{key}": nothing for key, nothing in GENERIC_ONLY.items()},
}
# What keeps nothing between steps but, it may be, the last one.
_OPTIMIZERS = ("gradient_descent", "momentum", "nesterov")
# Factors by layer leave a step what it is.
_HARMLESS = ("training.learning_rate_factors", "training.weight_decay_factors")
_KINKS = {"network.kind": "linear_then_relu", "network.activation": "relu"}
_WHY = 'sweep.kernel is "jumps", which follows the flow of one smooth map'


def check_places(values: Values) -> Iterator[str]:
    """Check that jumps are checked only where a kernel makes any."""
    count, kernel = (values.get(f"sweep.{key}", ("",))[0] for key in ("check_jumps", "kernel"))
    if not count or kernel in ("", "auto", "jumps", "reduced"):
        return
    yield (
        f"sweep.check_jumps is {show(count)}, and sweep.kernel is {show(kernel)}, which takes "
        'every step, so that there is no jump to check: leave it out, or take "jumps", "reduced" '
        'or "auto".'
    )


def check_jumps(values: Values) -> Iterator[str]:
    """Check that a sweep that asks for time jumps can have them."""
    if values.get("sweep.kernel", ("",))[0] != "jumps":
        return
    for key, needed in _NEEDED.items():
        found = [] if key in _HARMLESS else [v for v in values.get(key, ()) if v != needed]
        if found:
            yield (
                f"{_WHY}; {key} is {show(found[0])}, and it must be {show(needed)}, or take "
                '"generic".'
            )
    others = [v for v in values.get("training.optimizer", ()) if v not in _OPTIMIZERS]
    if others:
        *most, last = map(show, _OPTIMIZERS)
        yield (
            f"{_WHY}; training.optimizer is {show(others[0])}, and it must be {', '.join(most)} or "
            f'{last}, or take "generic".'
        )
    for key, kink in _KINKS.items():
        if kink in values.get(key, ()):
            yield f'{_WHY}; {key} is {show(kink)}, which has a kink: take "generic".'
    powers = [power for power in values.get("problem.power", ()) if power < 2]
    if powers:
        yield (
            f"{_WHY}; problem.power is {show(powers[0])}, and the curvature of that loss has no "
            'bound: it must be at least 2, or take "generic".'
        )
