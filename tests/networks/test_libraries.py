"""Models of flax and equinox, as the guide has them; both come with the extra "networks"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import guides
import jax
import numpy as np
import pytest
from plugin_samples import loaded
from spec_samples import sweep

from dlnsweep.contracts.drawing import drawing_of
from dlnsweep.engine.batch import train_batch
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

pytest.importorskip("equinox", reason="needs the extra networks")
pytest.importorskip("flax", reason="needs the extra networks")

# 40 steps of roundings of 1e-16.
_ROUNDING = 1e-12


def example() -> str:
    return guides.block("own_networks", "Models of flax and equinox", "python")


@pytest.mark.parametrize("kind", ["equinox_mlp", "flax_mlp"])
def test_a_model_of_a_library_is_trained_as_numpy_trains_it(kind: str, tmp_path: Path):
    file = tmp_path / "models.py"
    file.write_text(example())
    with loaded(file):
        plan = make_plan(
            sweep(
                network={"kind": kind, "width": 4},
                training__num_steps=40,
                training__weight_decay=0.01,
                record={"spacing": "explicit", "steps": [0, 40], "observables": ["loss"]},
            )
        )
        row = plan.row(0)
        drawing: Any = drawing_of(row, 4)
        arguments = drawing.example_arguments() | {"seed": np.int64(0)}
        with numerics():
            drawn = drawing.draw({k: jax.numpy.asarray(v) for k, v in arguments.items()})
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(drawn.params)]
        assert all(leaf.dtype == np.float64 for leaf in leaves)
        x, y = np.asarray(drawn.samples.targets), np.asarray(drawn.samples.inputs)
        columns = {key: column[[0]] for key, column in plan.settings.items()}
        found = train_batch(columns, plan.shared, 4).observables["loss"][0]
    if kind == "flax_mlp":
        # Dense_0 and Dense_1: bias, then kernel (inputs, outputs).
        b1, w1, b2, w2 = leaves[0], leaves[1].T, leaves[2], leaves[3].T
    else:
        w1, b1, w2, b2 = leaves
    eta, decay = row["training.learning_rate"], 0.01
    for step, value in ((0, found[0]), (40, found[1])):
        for _ in range(step):
            h = np.tanh(w1 @ y + b1[:, None])
            r = w2 @ h + b2[:, None] - x
            g = (w2.T @ r) * (1 - h**2)
            w2, b2, w1, b1 = (
                p - eta * (d + decay * p)
                for p, d in ((w2, r @ h.T), (b2, r.sum(1)), (w1, g @ y.T), (b1, g.sum(1)))
            )
        r = w2 @ np.tanh(w1 @ y + b1[:, None]) + b2[:, None] - x
        squares = sum(np.sum(p**2) for p in (w1, b1, w2, b2))
        wanted = 0.5 * np.sum(r**2) + 0.5 * decay * squares
        assert value == pytest.approx(wanted, rel=_ROUNDING)
