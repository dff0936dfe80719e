"""Whether observables of which a record takes many steps take longer than training. No JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.contracts.observable import OBSERVABLES

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan


def told_records(plan: Plan) -> list[str]:
    """Return a sentence for each observable whose records take longer than all steps; or none."""
    prices = {name: OBSERVABLES[name].steps_a_record for name in plan.shared["record.observables"]}
    if not any(prices.values()):
        return []
    import numpy as np

    from dlnsweep.execution.estimate import estimate
    from dlnsweep.plan.batches import make_batches

    told, found = [], estimate(plan, make_batches(plan, np.arange(plan.num_runs)))
    for name, each in prices.items():
        times = found.rows * each / max(found.run_steps, 1)
        if times > 1:
            told.append(
                f"record.observables names '{name}', of which a record takes some {each} steps "
                "by the generic way, and more of vector instructions: "
                f"{found.rows} records take at least about {float(f'{times:.2g}'):g} times as long "
                f'as the {found.run_steps} steps. Fewer cost less: record.spacing = "log", or a '
                "smaller record.count."
            )
    return told
