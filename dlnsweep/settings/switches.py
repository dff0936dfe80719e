"""Which of what [training] can turn on a run has on. No JAX."""

from __future__ import annotations

from typing import Any

from dlnsweep.settings.training import BY_LAYER, SWITCHES, TrainingSettings


def switched_on(training: TrainingSettings) -> tuple[str, ...]:
    """Return which of `SWITCHES` a run has on."""
    return tuple(key for key, off in SWITCHES.items() if getattr(training, key) != off)


def are_on(key: str, values: Any) -> Any:
    """Return whether one of `SWITCHES` is on, of one run's value or of a column of them.

    A run that is older than the setting has NaN or None: it is off.
    """
    if key not in BY_LAYER:
        return values > 0
    import numpy as np

    texts = np.asarray(values, object)
    # Of long columns mostly nobody has any: then they are not looked at one by one in Python.
    if texts.ravel().tolist().count("") == texts.size:
        return False
    given = np.frompyfunc(lambda value: isinstance(value, str) and value != "", 1, 1)
    return np.asarray(given(texts), bool)
