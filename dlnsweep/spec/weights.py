"""Whether the weights that a sweep asks for can be kept, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dlnsweep.contracts.schedule import record_steps
from dlnsweep.settings.sections import RecordSettings

Values = Mapping[str, Sequence[Any]]
_SCHEDULE = ("spacing", "count", "steps")


def check_weights(values: Values) -> Iterator[str]:
    """Check that every step at which weights are kept is a recorded one, of each run."""
    keys = [f"record.{name}" for name in ("weights", *_SCHEDULE)]
    if not {*keys, "training.num_steps"} <= values.keys():
        return
    asked = values["record.weights"][0]
    if not asked or asked == "final":
        return
    if len(set(asked)) < len(asked):
        yield f"record.weights names a step twice: {sorted(asked)}; give each once."
    if values.get("training.prescription", ("none",))[0] != "none":
        yield (
            "record.weights is a list of steps, and training.prescription sets the number of "
            'steps: give record.weights = "final".'
        )
        return
    given = {name: values[f"record.{name}"][0] for name in _SCHEDULE}
    record = RecordSettings.model_construct(**given)
    for total in dict.fromkeys(values["training.num_steps"]):
        steps = record_steps(record, total)
        wrong = [step for step in asked if step not in steps]
        if wrong:
            near = steps[np.argsort(np.abs(steps - wrong[0]), kind="stable")[:2]]
            yield (
                f"record.weights names {wrong[0]}, which is no recorded step where "
                f"training.num_steps is {total}; the nearest are "
                f"{' and '.join(map(str, sorted(near.tolist())))}: weights are kept at recorded "
                'steps (record.spacing = "explicit" with record.steps chooses them).'
            )
            return
