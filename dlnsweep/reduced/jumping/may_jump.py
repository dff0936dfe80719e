"""Which runs may jump where the reduced kernel trains them: by their settings alone."""

from __future__ import annotations

from dlnsweep.contracts.network import ALL_MOMENTUM_STEPS, ALL_STEPS
from dlnsweep.reduced.implicit import LARGEST
from dlnsweep.settings.run_settings import RunSettings

# Shorter runs take their steps: to compile jumps, once a program, takes as long as some hundreds of
# thousands of steps.
_LEAST_STEPS = 200_000
# Shorter runs have no implicit jumps (`far.py`): to compile those takes six seconds a program, and
# without them a run of so many steps takes a few more stages.
_LEAST_FAR = 20_000_000
_OPTIMIZERS = ("gradient_descent", "momentum", "nesterov")


def may_jump(row: RunSettings) -> bool:
    """Return whether runs of a batch may jump where the reduced kernel trains them."""
    optimizer = row["training.optimizer"]
    jumps = optimizer in _OPTIMIZERS and int(row["training.num_steps"]) >= _LEAST_STEPS
    steps = row.get(ALL_STEPS)
    if optimizer != "gradient_descent":
        steps = steps or row.get(ALL_MOMENTUM_STEPS)
    return jumps and not steps


def may_go_far(num_steps: int, size: int) -> bool:
    """Return whether runs may have implicit jumps; `gaps.py` says from where on they are.

    Args:
        num_steps: Those of a run.
        size: Outputs times samples, in their bases: as many rows as the matrix of such a jump has.
    """
    return num_steps >= _LEAST_FAR and size <= LARGEST
