"""Programs that are compiled for vectors as long as the processor's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnsweep.engine import program
from dlnsweep.numerics import compiled
from dlnsweep.numerics.compiled import with_whole_vectors
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep


def test_a_version_of_xla_that_does_not_know_the_option_compiles_without(
    monkeypatch: pytest.MonkeyPatch,
):
    values = np.linspace(-3, 3, 100)
    with numerics():
        lowered = jax.jit(jnp.tanh).lower(values)
        found = with_whole_vectors(lowered)(values)
        monkeypatch.setattr(compiled, "_WHOLE_VECTORS", {"xla_cpu_of_another_version": 1})
        other = with_whole_vectors(lowered)(values)
    np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize("network", ["mlp", "deep_linear"])
def test_it_is_the_generic_way_that_is_compiled_so(network: str, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def told(lowered: Any) -> Any:
        asked.append(lowered)
        return lowered.compile()

    monkeypatch.setattr(program, "with_whole_vectors", told)
    kernel = "generic" if network == "mlp" else "dense"
    document = {
        "name": "small",
        "problem": {"kind": "subspace", "signal_dim": 4, "measurement_dim": 3, "subspace_dim": 2,
                    "num_samples": 5},
        "network": {"kind": network, "depth": 2, "width": 6},
        "training": {"learning_rate": 0.01, "num_steps": 2},
        "sweep": {"seeds": 2, "kernel": kernel},
    }  # fmt: skip
    plan = make_plan(Sweep.from_dict(document))
    with numerics():
        device = {"platform": "cpu", "kind": "cpu", "memory_bytes": 2**30}
        program.Program(plan.row(0), plan.program_widths[0], 2, device)
    assert len(asked) == (network == "mlp")
