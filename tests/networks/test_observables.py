"""Every observable against its definition in NumPy, and at the numerical edge."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import oracle
import pytest
from instances import Instance, draw

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES, Dimensions, Observable, register
from dlnsweep.single.training import train

# In test_curvature.py: their programs take long to compile.
CURVED = ("sharpness", "hessian_eigenvalues", "hessian_trace", "gradient_rounding")
ON_ARRAYS = [
    name
    for name, item in OBSERVABLES.items()
    if find_network("subspace").has(item)
    and name not in CURVED
    and not item.needs_test_samples
    and not item.needs_isometry
]
STEPS = [0, 1, 40]
# Sums and decompositions of matrices with entries of size 1, rounded at 1.1e-16.
CLOSE = 1e-11
# What the first layer off range(Y) has a part in.
OFF_RANGE = [
    "off_subspace_error", "first_layer_off_range", "singular_values", "effective_rank",
    "stable_rank", "numerical_rank", "weight_norms", "gradient_norm", "oracle_distance", "loss",
]  # fmt: skip
# A few from each part of a network: other kernels hand the same network to the same functions.
FEW = ["loss", "off_subspace_error", "weight_norms", "gradient_norm", "displacement"]
# rank(Y) < m, rank(Y) = m, no hidden layer, more off-range directions than outputs, and delayed.
CASES = [
    ((4, 6, 6, 5), 2, 7, "gradient_descent", ON_ARRAYS),
    ((3, 5, 4), 3, 6, "gradient_descent", ON_ARRAYS),
    ((5, 4), 2, 6, "gradient_descent", ON_ARRAYS),
    ((9, 6, 3), 2, 6, "gradient_descent", OFF_RANGE),
    ((4, 130, 3), 2, 6, "gradient_descent", FEW),
    ((4, 6, 6, 5), 2, 7, "adam", FEW),
    *(
        pytest.param(*case, ON_ARRAYS, marks=pytest.mark.slow)
        for case in (
            ((9, 6, 3), 2, 6, "gradient_descent"),
            ((4, 130, 3), 2, 6, "gradient_descent"),
            ((4, 6, 6, 5), 2, 7, "adam"),
        )
    ),
]


@pytest.mark.parametrize(
    ("dims", "s", "n", "optimizer", "names"),
    CASES,
    ids=lambda v: f"{len(v)} names" if isinstance(v, list) else str(v).replace(" ", ""),
)
def test_observables_are_what_they_say(dims, s, n, optimizer, names):
    instance = draw(dims, s, n, seed=1, condition_number=2.0)
    numbers: dict[str, Any] = {"learning_rate": 0.02, "weight_decay": 0.3, "data_fit_scale": 0.7}
    found = train(
        instance.weights,
        instance.x,
        instance.y,
        record_steps=STEPS,
        observables=names,
        optimizer=optimizer,
        rank_threshold=0.4,
        **numbers,
    )
    descent = oracle.Descent(name=optimizer, **numbers)
    path = oracle.descend(instance.weights, instance.x, instance.y, descent, STEPS)
    sizes = Dimensions(signal_dim=dims[-1], measurement_dim=dims[0], depth=len(dims) - 1)
    assert set(oracle.OBSERVABLES) == set(ON_ARRAYS), "every observable has its definition here"
    for name in names:
        size = OBSERVABLES[name].size
        values = found.observables[name]
        assert values.shape == (len(STEPS), *([] if size is None else [size(sizes)])), name
        for k, step in enumerate(STEPS):
            state = oracle.State(
                path.weights[step], instance.x, instance.y, 0.3, 0.7, 0.4, 0.02, step,
                instance.weights,
            )  # fmt: skip
            expected = oracle.OBSERVABLES[name](state)
            gap = np.max(np.abs(values[k] - expected))
            assert gap <= CLOSE * max(1.0, np.max(np.abs(expected))), (name, step)


def test_rank_threshold_counts():
    weight = np.diag([4.0, 2.0, 1.0, 0.5])
    for threshold, count in [(0.6, 1), (0.3, 2), (0.2, 3), (0.1, 4)]:
        found = train(
            [weight],
            np.ones((4, 1)),
            np.ones((4, 1)),
            learning_rate=1e-3,
            record_steps=[0],
            observables=["numerical_rank"],
            rank_threshold=threshold,
        )
        assert found.numerical_rank.tolist() == [count]


def test_a_diverged_run_makes_no_decomposition_complain(capfd):
    instance = draw((4, 6, 6, 5), 2, 7, seed=2)
    found = train(
        instance.weights,
        instance.x,
        instance.y,
        learning_rate=10.0,
        record_steps=list(range(60)),
        observables=ON_ARRAYS,
    )
    assert found.status == "diverged"
    assert np.all(np.isfinite(found.regression_error))
    printed = capfd.readouterr()
    assert "entry to" not in printed.out + printed.err
    assert "LAPACK" not in printed.out + printed.err


def observe(instance: Instance, names: list[str], **options) -> dict[str, np.ndarray]:
    found = train(
        instance.weights,
        instance.x,
        instance.y,
        learning_rate=1e-3,
        record_steps=[0],
        observables=names,
        **options,
    )
    return {name: found.observables[name][0] for name in names}


def test_ranks_of_a_zero_matrix_are_not_invented():
    instance = draw((4, 6, 5), 2, 7, seed=3)
    zero = Instance([0 * w for w in instance.weights], instance.x, instance.y)
    found = observe(zero, ["effective_rank", "stable_rank", "numerical_rank", "off_subspace_error"])
    assert np.isnan(found["effective_rank"])
    assert np.isnan(found["stable_rank"])
    assert found["numerical_rank"] == 0
    assert found["off_subspace_error"] == 0


@pytest.mark.parametrize("scale", [1e-70, 1e-20, 1e70])
def test_operator_norm_neither_overflows_nor_underflows(scale):
    instance = draw((9, 6, 3), 2, 7, seed=4)
    scaled = Instance([instance.weights[0], scale * instance.weights[1]], instance.x, instance.y)
    expected = oracle.OBSERVABLES["off_subspace_error"](
        oracle.State(instance.weights, instance.x, instance.y)
    )
    found = observe(scaled, ["off_subspace_error"])["off_subspace_error"]
    assert abs(found / scale - expected) <= CLOSE * expected


def test_full_rank_measurements_leave_nothing_off_the_subspace():
    instance = draw((3, 5, 4), 3, 6, seed=5)
    assert observe(instance, ["off_subspace_error"])["off_subspace_error"] == 0.0


def test_effective_rank_lies_between_one_and_the_rank():
    instance = draw((4, 6, 5), 2, 7, seed=6)
    found = observe(instance, ["effective_rank", "stable_rank", "numerical_rank"])
    assert 1 <= found["stable_rank"] <= found["effective_rank"] ** 2
    assert 1 <= found["effective_rank"] <= found["numerical_rank"] == 4


@pytest.mark.parametrize("name", list(OBSERVABLES))
def test_every_observable_describes_itself(name):
    item = OBSERVABLES[name]
    assert item.name == name
    assert item.text
    assert item.label
    assert item.label.count("$") % 2 == 0


def test_registering_refuses_bad_names():
    compute = OBSERVABLES["loss"].compute
    before = dict(OBSERVABLES)
    for name in ("Loss", "two words", ""):
        sentence = f"observable name {name!r} is not a lower-case identifier"
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            register(Observable(name, "l", "t", compute))
    with pytest.raises(ValueError, match=r"^an observable named 'loss' is registered already$"):
        register(Observable("loss", "l", "t", compute))
    assert before == OBSERVABLES
