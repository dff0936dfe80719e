"""What strangers bring is tried on a run of each program before anything is written."""

from __future__ import annotations

import numpy as np

from dlnsweep.contracts.network import REDUCED_INPUTS, network_of
from dlnsweep.errors import SpecError
from dlnsweep.optimizers.trial import why_not_optimizer
from dlnsweep.plan.plan import Plan

# Each costs a compilation or so. What one program's run shows is seldom wrong of another alone.
_MOST_TRIED = 8


def check_network(plan: Plan) -> None:
    """Refuse a network, an initializer or an optimizer that cannot be trained with.

    Raises:
        SpecError: If it cannot.
    """
    _, first = np.unique(plan.programs, return_index=True)
    for index in first[:_MOST_TRIED].tolist():
        row = plan.row(index)
        # The network last: its trial would blame itself for what is wrong with an optimizer.
        if reason := why_not_optimizer(row) or network_of(row).why_not_trainable(row):
            raise SpecError(reason)
        if row["sweep.kernel"] == "jumps":
            # JAX, which a plan does without.
            from dlnsweep.engine.jumps import check_row

            check_row(row)
        if network_of(row).kernel_of(row) == REDUCED_INPUTS:
            from dlnsweep.networks.reduced_inputs.claim import check_row as check_claim

            # What this package's own networks say is tested.
            check_claim(row, computed=bool(network_of(row).version))
