"""Whether what the pilot visits between its checkpoints is where the run goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlnsweep.execution import comparison
from dlnsweep.execution.warm_start import plan_of
from dlnsweep.spec.sweep import Sweep

SWEEP = Path(__file__).parents[2] / "sweeps" / "fig2_subspace_dim.toml"


@pytest.mark.parametrize("seed", [1, 6])
def test_runs_of_figure_2_are_as_right_as_is_allowed(seed: int):
    """By steps of the dense kernel.

    With two of the pilot's steps between its checkpoints these were wrong by 1.2 times what is
    allowed: the pilot had gone where the run does not, and its rehearsal after it.
    """
    settings = ["problem.subspace_dim=2", "training.num_steps=3000", "sweep.tolerance=1e-4"]
    sweep = Sweep.from_file(SWEEP, settings)
    plan = plan_of(sweep)
    chosen = [i for i in range(plan.num_runs) if plan.row(i)["seed"] == seed]
    (pair,) = comparison.compare_runs(plan, chosen)
    assert pair.kernel_reason == "certified"
    assert pair.is_right(sweep.options.tolerance), pair
    # What the tolerance promises, without the three estimates.
    assert max(each.largest for each in pair.deviations.values()) < sweep.options.tolerance
