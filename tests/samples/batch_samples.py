"""Small sweeps as batches, without files: their draws, and their training in plain NumPy."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import oracle

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine import batch
from dlnsweep.networks.layered.initializers import Shape, draw_weights
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.base import static_text
from dlnsweep.spec.sweep import Sweep

# What issue 2 promises on well-posed instances.
AGREEMENT = 1e-9
# Two programs for the same run (other lanes, other padding) round their sums in another order.
ROUNDING = 1e-12


def plan_of(**sections):
    """Make the plan of a small sweep; `training=dict(...)` and the like change its sections."""
    document = {
        "name": "test",
        "problem": {
            "kind": "subspace",
            "signal_dim": 6,
            "measurement_dim": 4,
            "subspace_dim": 2,
            "num_samples": 12,
        },
        "network": {"depth": 3, "width": 8},
        "training": {"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 150},
        "record": {"count": 12},
        # Four runs: most tests then share the compiled programs. The reduced kernel has its own
        # tests.
        "sweep": {"seeds": 4, "kernel": "dense"},
    }
    for section, changes in sections.items():
        document[section] = document[section] | changes
    return make_plan(Sweep.from_dict(document))


def train_rows(plan, rows=None, padded_width=None, **options):
    """Train some rows of a plan's run table as one batch."""
    rows = np.arange(plan.num_runs) if rows is None else np.asarray(rows)
    columns = {key: column[rows] for key, column in plan.settings.items()}
    width = padded_width or int(np.max(columns["network.width"]))
    return batch.train_batch(columns, plan.shared, width, **options)


DRAWS = {}


def drawn(plan, row: int, tests: bool = True):
    """Return a run's sections, initial weights, X, Y and test samples, as NumPy arrays.

    Without tests there are none that had to be compiled: they are half of the work.
    """
    settings = plan.row(row)
    sections = Sections.from_row(settings)
    width = sections.network.width
    hidden = (width,) * (sections.network.depth - 1)
    dims = (sections.problem.measurement_dim, *hidden, sections.problem.signal_dim)

    def everything(seed, numbers):
        mine, key = sections.with_numbers(numbers, width), partial(purpose_key, seed)
        begun = draw_weights(mine.network, Shape(dims, width), key), problem.draw(mine.problem, key)
        if not tests:
            return (*begun, ())
        count = mine.record.num_test_samples
        noise = mine.record.test_noise * gaussian(key("test/noise"), dims[0], count)
        return (*begun, (*problem.draw_test(mine.problem, key, count), noise))

    problem: Any = PROBLEMS[sections.problem.kind]
    static = static_text(sections.problem)
    without = (static, sections.network.initializer, dims)
    with_tests = (*without, sections.record.num_test_samples)
    # What is compiled with them will do.
    tests = tests or with_tests in DRAWS
    name = with_tests if tests else without
    # It runs a few times: to optimize it takes longer than all of them, and it rounds as well.
    lean = {"xla_backend_optimization_level": 0}
    draw = DRAWS.setdefault(name, jax.jit(everything, compiler_options=lean))
    with numerics():
        found = draw(np.int64(settings["seed"]), sections.traced())
    weights, (x, y), test = jax.tree.map(np.asarray, found)
    return sections, list(weights), x, y, test


def expected(plan, row: int):
    """Return the oracle's states at the recorded steps of a run."""
    sections, weights, x, y, _ = drawn(plan, row, tests=False)
    training = sections.training
    names = ("momentum", "beta1", "beta2", "epsilon", "rmsprop_decay")
    descent = oracle.Descent(
        name=training.optimizer,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        step_rule=training.step_rule,
        data_fit_scale=training.data_fit_scale,
        **{name: getattr(training, name) for name in names},
    )
    steps = record_steps(sections.record, training.num_steps).tolist()
    path = oracle.descend(weights, x, y, descent, steps)
    return [
        oracle.State(path.weights[t], x, y, training.weight_decay, training.data_fit_scale)
        for t in steps
    ]


def assert_follows(plan, row: int, trained, lane: int) -> None:
    states = expected(plan, row)
    for name, values in trained.observables.items():
        for got, state in zip(values[lane], states, strict=True):
            wanted = oracle.OBSERVABLES[name](state)
            # Relative errors are differences of numbers of size 1.
            assert np.all(np.abs(got - wanted) <= AGREEMENT * np.abs(wanted) + 1e-14), name


def same_bits(a, b, lanes_a: Any = slice(None), lanes_b: Any = slice(None)) -> bool:
    return all(
        np.array_equal(a.observables[k][lanes_a], b.observables[k][lanes_b], equal_nan=True)
        for k in a.observables
    )


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-3)))
