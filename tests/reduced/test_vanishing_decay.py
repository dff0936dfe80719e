"""A wide network where weight decay vanishes, to a fine tolerance: Figure 3's, of three layers."""

from pathlib import Path

import pytest

import dlnsweep
from dlnsweep.spec.sweep import Sweep

_FILE = Path(__file__).parents[2] / "sweeps" / "fig3_depth.toml"


@pytest.mark.slow
def test_errors_come_to_their_limit_to_first_order_in_the_decay(tmp_path: Path):
    """Of equal ηλT. Trials by stages did not agree, so that all of 1e9 steps were begun."""
    found = []
    for decay, steps in ((1e-6, 10**8), (1e-7, 10**9)):
        sweep = Sweep.from_file(
            _FILE,
            (
                "network.depth=3", "sweep.seeds=1", "sweep.tolerance=1e-6",
                f"training.weight_decay={decay}", f"training.num_steps={steps}",
            ),
        )  # fmt: skip
        results = dlnsweep.run(sweep, tmp_path / f"{decay:g}", workers=0, figures=False)
        (run,) = results.runs().to_dict("records")
        assert "jumps" in run["kernel_reason"]
        assert run["truncation_error"] <= 1e-6
        found.append((run["final_regression_error"] / decay, run["final_off_subspace_error"]))
    # What is left of either is some 14 times the decay, beside twice the tolerance.
    assert found[0] == pytest.approx(found[1], rel=3e-5, abs=0)
