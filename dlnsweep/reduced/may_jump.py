"""Which runs may jump where the reduced kernel trains them: by their settings alone."""

from __future__ import annotations

from dlnsweep.contracts.network import ALL_STEPS
from dlnsweep.settings.run_settings import RunSettings

# Shorter runs take their steps: to compile jumps, once a program, takes as long as some hundreds of
# thousands of steps.
_LEAST_STEPS = 200_000


def may_jump(row: RunSettings) -> bool:
    """Return whether runs of a batch may jump where the reduced kernel trains them."""
    plain = row["training.optimizer"] == "gradient_descent"
    long = int(row["training.num_steps"]) >= _LEAST_STEPS
    return plain and long and not row.get(ALL_STEPS)
