"""Classification and toy problems: their laws, and their reduction, against NumPy.

Each draw is compared with a transcription of its module's law from the same Gaussian numbers, which
stand in for the package's own streams; those are behind the runs that are trained.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batch_samples import AGREEMENT, assert_follows, train_rows
from spec_samples import document

from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.networks.layered.samples import reduce_samples
from dlnsweep.networks.matrix.descent import FactorizationKernel
from dlnsweep.numerics import streams
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.problems.losses import Fit, Samples
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings
from dlnsweep.spec.explain import explain
from dlnsweep.spec.sweep import Sweep

# Sums of tens of numbers of size 1 to 30, and an orthogonal factor, rounded at 1.1e-16 each.
EXACT = 1e-13
# Squares of singular values, relative to the largest.
REDUCED = 1e-12
# A projector on what has singular values above 1e-2 of the largest.
PROJECTED = 1e-10
TEST = 9
# Small enough for every case to descend.
RATE = 0.002

Numbers = dict[str, np.ndarray]


def haar(drawn: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(drawn)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def order(drawn: np.ndarray) -> np.ndarray:
    return np.argsort(drawn[:, 0])


def one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    return (classes[None] == np.arange(count)[:, None]).astype(float)


def separable(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    u = raw["data/weights"] / np.sqrt(np.sum(raw["data/weights"] ** 2))
    g = raw[f"{part}/signals"]
    x = np.sign(u.T @ g)
    y = g + own.margin * x * u
    if part == "data":
        x[:, 0], x[:, 1] = 1, -1
        y[:, [0]], y[:, [1]] = own.margin * u, -own.margin * u
    return x, y


def gaussian_mixture(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    means = haar(raw["data/basis"])
    means = own.separation / np.sqrt(2) * (means - means.mean(1, keepdims=True))
    g = raw[f"{part}/signals"]
    classes = np.arange(g.shape[1]) % own.num_classes
    columns = [means[:, c] + own.noise * g[:, i] for i, c in enumerate(classes)]
    return one_hot(classes, own.num_classes), np.stack(columns, axis=1)


def sparse_regression(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    beta = np.zeros(own.measurement_dim)
    for i in range(own.sparsity):
        sign = -1 if raw["data/weights"][i, 0] < 0 else 1
        beta[order(raw["data/members"])[i]] = sign / np.sqrt(own.sparsity)
    assert abs(beta @ beta - 1) < EXACT
    y = raw[f"{part}/signals"]
    noise = own.noise * raw["data/noise"] if part == "data" else 0.0
    return beta[None] @ y + noise, y


def modular_addition(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    p, n = own.modulus, own.num_samples
    pairs = order(raw["data/rows"])
    pairs = pairs[:n] if part == "data" else pairs[n : n + TEST]
    table = [(a, b) for a in range(p) for b in range(p)]
    x, y = np.zeros((p, len(pairs))), np.zeros((2 * p, len(pairs)))
    for i, (a, b) in enumerate(table[pair] for pair in pairs):
        x[(a + b) % p, i] = y[a, i] = y[p + b, i] = 1
    return x, y


def sparse_parity(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    y = np.where(raw[f"{part}/signals"] < 0, -1.0, 1.0)
    chosen = order(raw["data/members"])[: own.parity_size]
    return np.prod([y[j] for j in chosen], axis=0)[None], y


def multi_index(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    frame, k = haar(raw["data/basis"]), own.hermite_degree
    y = raw[f"{part}/signals"]
    coefficients = np.eye(k + 1)[k] / np.sqrt(math.factorial(k))
    x = sum(np.polynomial.hermite_e.hermeval(u @ y, coefficients) for u in frame.T)
    x = np.asarray(x)[None] / np.sqrt(frame.shape[1])
    return x + (own.noise * raw["data/noise"] if part == "data" else 0.0), y


def power_law(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    z = raw[f"{part}/signals"].copy()
    target = np.zeros(z.shape[1])
    for j in range(1, own.ambient_dim + 1):
        z[j - 1] /= j**own.data_exponent
        target += z[j - 1] / j**own.target_exponent
    return target[None], raw["data/operator"].T @ z / np.sqrt(own.measurement_dim)


def prompts(own: Any, raw: Numbers, part: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return points (N + 1, D) and values (N + 1) of each prompt."""
    size, length = own.input_dim, own.context_length
    deviations = np.array([j ** (-own.covariance_power / 2) for j in range(1, size + 1)])
    tasks = raw["data/weights" if part == "data" else "test/members"]
    found = []
    for g, w in zip(raw[f"{part}/signals"].T, tasks.T, strict=True):
        points = g.reshape(length + 1, size) * deviations
        found.append((points, points @ w))
    return found


def icl_regression(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    columns, targets = [], []
    for points, values in prompts(own, raw, part):
        column = [v for x, y in zip(points[:-1], values[:-1], strict=True) for v in (*x, y)]
        columns.append([*column, *points[-1]])
        targets.append(values[-1])
    return np.array(targets)[None], np.array(columns).T


def icl_cubic(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    columns, targets = [], []
    for points, values in prompts(own, raw, part):
        z = sum(y * np.outer(x, points[-1]) for x, y in zip(points[:-1], values[:-1], strict=True))
        columns.append(np.ravel(z) / own.context_length)
        targets.append(values[-1])
    return np.array(targets)[None], np.array(columns).T


def autoencoder(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    deviations = np.arange(1, own.signal_dim + 1) ** (-own.spectrum_power / 2)
    data = haar(raw["data/basis"]) @ np.diag(deviations) @ raw[f"{part}/signals"]
    return data, data


def unconstrained_features(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    each = own.samples_per_class
    return np.kron(np.eye(own.num_classes), np.ones((1, each))), np.eye(own.num_classes * each)


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda z: max(z, 0.0),
    "tanh": math.tanh,
    "erf": lambda z: math.erf(z / math.sqrt(2)),
    "quadratic": lambda z: z * z,
}


def teacher(own: Any, raw: Numbers, part: str) -> tuple[np.ndarray, np.ndarray]:
    relu, train = own.teacher_activation == "relu", part == "data"
    units = [u / math.sqrt(u @ u) for u in raw["data/teacher"].T]
    signs = np.where(raw["data/teacher_signs"] < 0, -1.0, 1.0)
    size = noise = 1.0
    y = raw[f"{part}/signals"]
    if own.inputs == "sphere":
        y = np.array([column / math.sqrt(column @ column) for column in y.T]).T
        noise = 1 / math.sqrt(len(y))
    elif relu:
        size = 1 / math.sqrt(own.num_samples) if train else math.sqrt(2 / own.signal_dim)
        noise = size
    y = size * y
    activation = ACTIVATIONS[own.teacher_activation]
    hidden = np.array([[activation(float(u @ column)) for column in y.T] for u in units])
    x = own.teacher_scale * signs @ hidden / math.sqrt(len(units))
    return x + (own.output_noise * noise * raw["data/noise"] if train else 0.0), y


Law = Callable[[Any, Numbers, str], tuple[np.ndarray, np.ndarray]]
# A problem's keys, the Gaussian numbers behind it, and its law.
CASES: dict[str, tuple[dict[str, Any], dict[str, tuple[int, int]], Law]] = {
    "separable": (
        {"kind": "separable", "measurement_dim": 12, "num_samples": 7, "margin": 0.3},
        {"data/weights": (12, 1), "data/signals": (12, 7), "test/signals": (12, TEST)},
        separable,
    ),
    "gaussian_mixture": (
        {"kind": "gaussian_mixture", "num_classes": 3, "measurement_dim": 5, "num_samples": 8,
         "separation": 4.0, "noise": 0.5},
        {"data/basis": (5, 3), "data/signals": (5, 8), "test/signals": (5, TEST)},
        gaussian_mixture,
    ),
    "sparse_regression": (
        {"kind": "sparse_regression", "measurement_dim": 10, "num_samples": 6, "sparsity": 3,
         "noise": 0.2},
        {"data/members": (10, 1), "data/weights": (3, 1), "data/signals": (10, 6),
         "data/noise": (1, 6), "test/signals": (10, TEST)},
        sparse_regression,
    ),
    "modular_addition": (
        {"kind": "modular_addition", "modulus": 5, "num_samples": 16},
        {"data/rows": (25, 1)},
        modular_addition,
    ),
    "sparse_parity": (
        {"kind": "sparse_parity", "measurement_dim": 6, "num_samples": 11, "parity_size": 3},
        {"data/members": (6, 1), "data/signals": (6, 11), "test/signals": (6, TEST)},
        sparse_parity,
    ),
    "multi_index": (
        {"kind": "multi_index", "measurement_dim": 5, "num_samples": 8, "hermite_degree": 4,
         "num_directions": 2, "noise": 0.1},
        {"data/basis": (5, 2), "data/signals": (5, 8), "data/noise": (1, 8),
         "test/signals": (5, TEST)},
        multi_index,
    ),
    "power_law": (
        {"kind": "power_law", "ambient_dim": 9, "measurement_dim": 4, "num_samples": 7,
         "data_exponent": 0.7, "target_exponent": 0.4},
        {"data/operator": (9, 4), "data/signals": (9, 7), "test/signals": (9, TEST)},
        power_law,
    ),
    "icl_regression": (
        {"kind": "icl_regression", "input_dim": 2, "context_length": 3, "num_samples": 13,
         "covariance_power": 0.8},
        {"data/signals": (8, 13), "data/weights": (2, 13), "test/signals": (8, TEST),
         "test/members": (2, TEST)},
        icl_regression,
    ),
    "icl_cubic": (
        {"kind": "icl_regression", "input_dim": 2, "context_length": 3, "num_samples": 13,
         "covariance_power": 0.8, "representation": "cubic"},
        {"data/signals": (8, 13), "data/weights": (2, 13), "test/signals": (8, TEST),
         "test/members": (2, TEST)},
        icl_cubic,
    ),
    "autoencoder": (
        {"kind": "autoencoder", "signal_dim": 4, "num_samples": 6, "spectrum_power": 1.5},
        {"data/basis": (4, 4), "data/signals": (4, 6), "test/signals": (4, TEST)},
        autoencoder,
    ),
    "unconstrained_features": (
        {"kind": "unconstrained_features", "num_classes": 3, "samples_per_class": 2},
        {},
        unconstrained_features,
    ),
}  # fmt: skip
CASES |= {
    f"teacher {name}": (
        {"kind": "teacher", "signal_dim": 2, "measurement_dim": 3, "num_samples": 5,
         "teacher_activation": name, "output_noise": 0.3},
        {"data/teacher": (3, 3), "data/teacher_signs": (2, 3), "data/signals": (3, 5),
         "data/noise": (2, 5), "test/signals": (3, TEST)},
        teacher,
    )
    for name in ACTIVATIONS
}  # fmt: skip
CASES["teacher on a sphere"] = (
    CASES["teacher relu"][0] | {"inputs": "sphere", "teacher_scale": 1.7},
    *CASES["teacher relu"][1:],
)


def sweep(problem: dict[str, Any], **changes: Any) -> Sweep:
    return Sweep.from_dict(
        document(**({"record": {"observables": ["loss"]}} | changes), problem=problem)
    )


def settings_of(problem: dict[str, Any]) -> Settings:
    values = {k: v[0] for k, v in sweep(problem).values.items() if k.startswith("problem.")}
    fields = {key.partition(".")[2]: value for key, value in values.items()}
    return PROBLEMS[problem["kind"]].settings(**fields)


def numbers_of(purpose: str, rows: int, columns: int) -> np.ndarray:
    """Gaussian numbers in place of the package's own, whose generator takes long to compile."""
    return np.random.default_rng(zlib.crc32(purpose.encode())).normal(size=(rows, columns))


@cache
def drawn(case: str) -> tuple[Any, Numbers, dict[str, Any], Any]:
    """Return a problem's settings, the numbers behind it, its samples, and these reduced."""
    keys, shapes, _ = CASES[case]
    problem: Any = PROBLEMS[keys["kind"]]
    own: Any = settings_of(keys)

    def draw(_):
        pairs: Any = {"data": problem.draw(own, str)}
        if problem.draw_test is not None:
            pairs["test"] = problem.draw_test(own, str, TEST)
        certain, rank = problem.has_certain_rank(own), problem.rank_of(own)
        x, y = pairs["data"]
        return pairs, reduce_samples(x, y, rank, certain=certain)

    with numerics(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "gaussian", lambda p, r, c: jnp.asarray(numbers_of(p, r, c)))
        # Compiled with less care, in half the time.
        compiled = jax.jit(draw, compiler_options={"xla_backend_optimization_level": 0})
        pairs, reduced = jax.tree.map(np.asarray, compiled(0))
    return own, {name: numbers_of(name, *shape) for name, shape in shapes.items()}, pairs, reduced


@pytest.mark.parametrize("case", CASES)
def test_a_problem_draws_what_its_law_says(case: str):
    own, raw, pairs, _ = drawn(case)
    assert "test" in pairs or case == "unconstrained_features"
    for part, (x, y) in pairs.items():
        wanted = CASES[case][2](own, raw, part)
        for found, law in zip((x, y), wanted, strict=True):
            assert found.dtype == np.float64
            assert found.shape == law.shape
            assert np.max(np.abs(found - law)) <= EXACT
    assert pairs["data"][0].shape == (own.signal_dim, own.num_samples)
    assert pairs["data"][1].shape == (own.measurement_dim, own.num_samples)


@pytest.mark.parametrize("case", CASES)
def test_linear_networks_see_the_problem_by_its_reduction(case: str):
    """Gradient descent on squared error knows X Y^T and Y Y^T; and what lies off range(Y)."""
    _, _, pairs, reduced = drawn(case)
    x, y = pairs["data"]
    basis = reduced.range_basis
    scale = np.linalg.norm(y, 2)
    grams = np.linalg.norm(basis * reduced.inputs**2 @ basis.T - y @ y.T)
    assert grams <= REDUCED * scale**2
    cross = np.linalg.norm(reduced.targets * reduced.inputs @ basis.T - x @ y.T)
    assert cross <= REDUCED * scale * np.linalg.norm(x)
    off = reduced.off_basis
    if reduced.off_directions is not None:
        off = np.concatenate([basis, off], axis=1) @ reduced.off_directions
    values = np.linalg.svd(y, compute_uv=False)
    # No singular value is between zero and what a projector can be computed with.
    assert ((values > 1e-2 * values[0]) | (values < 1e-14 * values[0])).all()
    wanted = np.eye(len(y)) - y @ np.linalg.pinv(y, rcond=1e-3)
    assert np.linalg.norm(off @ off.T - wanted) <= PROJECTED


def test_these_have_less_than_the_largest_rank():
    """What a problem that said min(m, n) would get wrong."""
    ranks = {case: np.linalg.matrix_rank(drawn(case)[2]["data"][1]) for case in CASES}
    assert ranks["separable"] == 6
    assert ranks["modular_addition"] == 9


def test_the_margin_is_exact():
    """By two bounds: u has it, and the pair is no farther apart."""
    own, raw, pairs, _ = drawn("separable")
    x, y = pairs["data"]
    u = raw["data/weights"][:, 0] / np.linalg.norm(raw["data/weights"])
    assert np.min(x[0] * (u @ y)) >= own.margin - EXACT
    assert x[0, :2].tolist() == [1, -1]
    assert abs(np.linalg.norm(y[:, 0] - y[:, 1]) / 2 - own.margin) < EXACT
    fresh, points = pairs["test"]
    assert np.min(fresh[0] * (u @ points)) > own.margin


def test_means_are_as_far_apart_as_is_said():
    own, raw, pairs, _ = drawn("gaussian_mixture")
    means = pairs["data"][1][:, :3] - own.noise * raw["data/signals"][:, :3]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.linalg.norm(means[:, i] - means[:, j]) - own.separation) < 10 * EXACT
    assert np.linalg.norm(means.sum(1)) < 10 * EXACT


def test_hermite_polynomials_are_normalised():
    from dlnsweep.problems.multi_index import hermite

    points, weights = np.polynomial.hermite_e.hermegauss(20)
    with numerics():
        found = [np.asarray(hermite(jnp.asarray(points), k)) for k in range(5)]
    # 20 points are exact for polynomials up to degree 39.
    gram = [[np.sum(weights * a * b) / np.sqrt(2 * np.pi) for a in found] for b in found]
    assert np.max(np.abs(np.array(gram) - np.eye(5))) < EXACT


def test_two_classes_of_signs_are_one_target():
    keys = {**CASES["gaussian_mixture"][0], "labels": "signs", "num_classes": [2, 3]}
    found = sweep(keys)
    assert found.values["problem.signal_dim"] == (1, 3)
    assert found.axes == (("problem.num_classes", "problem.signal_dim"),)


@pytest.mark.parametrize(
    ("case", "changes", "expected"),
    [
        ("separable", {"num_samples": 1},
         "problem.num_samples is 1; problem.support = 'pair' needs two samples."),
        ("separable", {"margin": 0}, "problem.margin is 0; it must be positive."),
        ("separable", {"signal_dim": 2}, "problem.signal_dim is 2; it must be at most 1."),
        ("gaussian_mixture", {"num_classes": 6},
         "problem.num_classes is 6; means of equal distances need problem.measurement_dim, which "
         "is 5, to be as large."),
        ("gaussian_mixture", {"signal_dim": 2},
         "problem.signal_dim is 2; by problem.num_classes = 3 and problem.labels = 'one_hot' it is "
         "3: leave it out."),
        ("sparse_regression", {"sparsity": 11},
         "problem.sparsity is 11; it must not exceed problem.measurement_dim, which is 10."),
        ("modular_addition", {"num_samples": 26},
         "problem.num_samples is 26; problem.modulus = 5 has 25 pairs in all."),
        ("modular_addition", {"measurement_dim": 5},
         "problem.measurement_dim is 5; by problem.modulus = 5 it is 10: leave it out."),
        ("sparse_parity", {"parity_size": 7},
         "problem.parity_size is 7; it must not exceed problem.measurement_dim, which is 6."),
        ("multi_index", {"num_directions": 6},
         "problem.num_directions is 6; it must not exceed problem.measurement_dim, which is 5."),
        ("power_law", {"measurement_dim": 10},
         "problem.measurement_dim is 10; it must not exceed problem.ambient_dim, which is 9."),
        ("icl_regression", {"input_dim": 100_000, "context_length": 100_000},
         "problem.input_dim is 100000 and problem.context_length is 100000; a sample must have "
         "fewer than 2^31 inputs."),
        ("icl_regression", {"input_dim": [2, 3], "context_length": [3, 4]},
         "problem.measurement_dim follows from problem.input_dim and problem.context_length, which "
         "vary apart; move them together: name them in one list of sweep.zip."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(case: str, changes: dict[str, Any], expected: str):
    with pytest.raises(SpecError) as caught:
        sweep(CASES[case][0] | changes)
    assert caught.value.problems == (f"sweep: {expected}",)


@pytest.mark.parametrize(
    ("case", "loss", "needed", "has"),
    [
        ("separable", "cross_entropy", "of 1 and 0", "of 1 and -1"),
        ("modular_addition", "logistic", "of 1 and -1", "of 1 and 0"),
        ("gaussian_mixture", "exponential", "of 1 and -1", "of 1 and 0"),
        ("multi_index", "logistic", "of 1 and -1", "that are numbers"),
        ("autoencoder", "cross_entropy", "of 1 and 0", "that are numbers"),
        ("teacher tanh", "logistic", "of 1 and -1", "that are numbers"),
    ],
)
def test_a_loss_must_fit_the_targets(case: str, loss: str, needed: str, has: str):
    training = {"learning_rate": 0.1, "num_steps": 10, "loss": loss}
    with pytest.raises(SpecError) as caught:
        sweep(CASES[case][0], training=training)
    expected = (
        f"sweep: training.loss is '{loss}', which is for targets {needed}; the problem has targets "
        f"{has}."
    )
    assert expected in caught.value.problems


@pytest.mark.parametrize("kind", ["subspace", "noisy_subspace", "union_of_subspaces"])
def test_signals_are_no_classes(kind: str):
    problem = {"kind": kind, "signal_dim": 8, "measurement_dim": 5, "subspace_dim": 2,
               "num_samples": 9}  # fmt: skip
    training = {"learning_rate": 0.1, "num_steps": 10}
    network = {"kind": "mlp", "depth": 2, "width": 5}
    assert sweep(problem, network=network, training=training | {"loss": "squared"}).num_runs == 1
    with pytest.raises(SpecError, match="'logistic', which is for targets of 1 and -1; the"):
        sweep(problem, network=network, training=training | {"loss": "logistic"})


def test_a_relu_teacher_without_noise_has_the_id_that_it_had():
    """Its numbers, too: by the test of its student, which is older."""
    keys = {"kind": "teacher", "signal_dim": 3, "measurement_dim": 6, "num_samples": 30}
    plain = make_plan(sweep(keys)).run_ids.tolist()
    assert (
        make_plan(sweep({**keys, "teacher_activation": "relu", "output_noise": 0})).run_ids == plain
    )
    assert make_plan(sweep({**keys, "output_noise": 0.1})).run_ids != plain
    assert plain == [3469344325825046096]


def test_axes_that_move_together_set_what_follows_from_both():
    keys = {**CASES["icl_regression"][0], "input_dim": [2, 3], "context_length": [3, 4]}
    zipped = {"zip": [["problem.input_dim", "problem.context_length"]]}
    plan = make_plan(sweep(keys, sweep=zipped))
    assert plan.settings["problem.measurement_dim"].tolist() == [11, 19]


def test_the_rest_of_the_table_is_all_that_can_be_tested():
    record = {"observables": ["test_error"], "num_test_samples": 10}
    with pytest.raises(SpecError, match="num_test_samples is 10; 9 samples do not train: lower it"):
        sweep(CASES["modular_addition"][0], record=record)
    with pytest.raises(SpecError, match="'unconstrained_features' draws none"):
        sweep(CASES["unconstrained_features"][0], record=record)


@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_explained(case: str):
    kind = CASES[case][0]["kind"]
    text = explain(kind)
    assert text.startswith(f'[problem] kind = "{kind}"')
    assert all(len(line) <= 96 for line in text.splitlines())


def plan_of(case: str, **changes: Any) -> Plan:
    network = {"depth": 2, "width": 6}
    training = {"learning_rate": RATE, "num_steps": 40}
    record = {"observables": ["loss", "off_subspace_error"], "count": 6}
    sections = {"network": network, "training": training, "record": record} | changes
    return make_plan(sweep(CASES[case][0], **sections, sweep={"kernel": "dense", "seeds": 2}))


@pytest.mark.slow
def test_merged_linear_attention_is_a_deep_linear_network_of_cubic_features():
    """Heads as hidden units: sum_h v_h <U_h, z>, by plain gradient descent on the prompts."""
    from batch_samples import drawn as draws

    plan = plan_of("icl_cubic", record={"observables": ["loss"], "count": 6})
    trained = train_rows(plan)
    _, (first, last), _, _, _ = draws(plan, 0, tests=False)
    own: Any = settings_of(CASES["icl_cubic"][0])
    shapes = CASES["icl_cubic"][1]
    with numerics():
        key = partial(streams.purpose_key, jnp.int64(0))
        raw = {
            k: np.asarray(streams.gaussian(key(k), *v)) for k, v in shapes.items() if k[0] == "d"
        }
    keys, values = first.reshape(6, 2, 2).copy(), last[0].copy()
    losses = []
    for step in range(41):
        loss, key_steps, value_steps = 0.0, np.zeros_like(keys), np.zeros_like(values)
        for points, labels in prompts(own, raw, "data"):
            query = points[-1]
            # Attention of each head: (1/N) sum_n y_n x_n . U_h x_q.
            heads = np.array([np.mean(labels[:-1] * (points[:-1] @ u @ query)) for u in keys])
            error = values @ heads - labels[-1]
            loss += 0.5 * error**2
            seen = np.mean(labels[:-1, None, None] * points[:-1, :, None] * query, axis=0)
            key_steps += error * values[:, None, None] * seen
            value_steps += error * heads
        if step in trained.steps:
            losses.append(loss)
        keys, values = keys - RATE * key_steps, values - RATE * value_steps
    np.testing.assert_allclose(trained.observables["loss"][0], losses, rtol=AGREEMENT)


@pytest.mark.slow
def test_unconstrained_features_are_a_deep_linear_network_on_the_identity():
    """(1/2) ||W H - X||^2 + (decay / 2) (||W||^2 + ||H||^2) by W and free features H."""
    from batch_samples import drawn as draws

    training = {"learning_rate": 0.1, "weight_decay": 0.05, "num_steps": 60}
    plan = plan_of(
        "unconstrained_features",
        record={"observables": ["loss"], "count": 6},
        training=training,
    )
    trained = train_rows(plan)
    _, (features, classifier), _, _, _ = draws(plan, 0, tests=False)
    targets = np.repeat(np.eye(3), 2, axis=1)
    losses = []
    for step in range(61):
        error = classifier @ features - targets
        squares = np.sum(classifier**2) + np.sum(features**2)
        if step in trained.steps:
            losses.append(0.5 * np.sum(error**2) + 0.5 * 0.05 * squares)
        moves = error @ features.T, classifier.T @ error
        classifier = classifier - 0.1 * (moves[0] + 0.05 * classifier)
        features = features - 0.1 * (moves[1] + 0.05 * features)
    np.testing.assert_allclose(trained.observables["loss"][0], losses, rtol=AGREEMENT)


def test_from_a_zero_last_layer_it_trains_as_in_numpy():
    """(1/2) ||B A - X||^2 from B = 0: A stays for one step, then both move."""
    from batch_samples import drawn as draws

    plan = plan_of(
        "unconstrained_features",
        network={"depth": 2, "width": 2, "initializer": "zero_last"},
        record={"observables": ["loss"], "count": 6},
        training={"learning_rate": 0.1, "num_steps": 60},
    )
    trained = train_rows(plan)
    _, (features, _), _, _, _ = draws(plan, 0, tests=False)
    targets = np.repeat(np.eye(3), 2, axis=1)
    assert features.shape == (2, 6)
    classifier = np.zeros((3, 2))
    losses = []
    for step in range(61):
        error = classifier @ features - targets
        if step in trained.steps:
            losses.append(0.5 * np.sum(error**2))
        moves = error @ features.T, classifier.T @ error
        classifier, features = classifier - 0.1 * moves[0], features - 0.1 * moves[1]
    assert losses[0] == 3.0
    assert losses[-1] < 2.0
    np.testing.assert_allclose(trained.observables["loss"][0], losses, rtol=AGREEMENT)


@pytest.mark.slow
def test_low_rank_adaptation_is_a_factorization_of_the_residual():
    """(1/2) ||(W_0 + B A) Y - X||^2, W_0 kept, is (1/2) ||B A Y - (X - W_0 Y)||^2, depth 2."""
    rng = np.random.default_rng(0)
    y, x, base = rng.normal(size=(4, 9)), rng.normal(size=(3, 9)), rng.normal(size=(3, 4))
    down, up = 0.5 * rng.normal(size=(2, 4)), 0.1 * rng.normal(size=(3, 2))
    with numerics():
        training = TrainingSettings(learning_rate=0.01, num_steps=100)
        kernel = FactorizationKernel(training, RecordSettings(), early_exit=True, power=2.0)
        fit = Fit(Samples(jnp.array(y), jnp.array(x - base @ y)), jnp.array(1.0), None)
        factors = jnp.array(down), jnp.array(up)
        inputs, carry = kernel.start(factors, fit, (4, 2), training, {})
        found = kernel.advance(inputs, carry.state, jnp.int64(0), jnp.int64(50)).weights
    for _ in range(50):
        error = (base + up @ down) @ y - x
        steps = up.T @ error @ y.T, error @ y.T @ down.T
        down, up = down - 0.01 * steps[0], up - 0.01 * steps[1]
    for mine, wanted in zip(found, (down, up), strict=True):
        # Fifty steps of rounding on numbers of size 1.
        np.testing.assert_allclose(mine, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_deep_linear_networks_learn_it_as_in_numpy(case: str):
    plan = plan_of(case)
    trained = train_rows(plan)
    for row in range(2):
        assert_follows(plan, row, trained, row)
