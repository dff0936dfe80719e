"""deep_prior against gradient descent on the full W (k, d), and its observables, in plain NumPy."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnsweep.engine.batch import train_batch
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.engine.trained import Trained
from dlnsweep.networks.deep_prior.draw import PriorDrawing
from dlnsweep.networks.deep_prior.kind import room_for
from dlnsweep.networks.deep_prior.view import loss_value
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.spec.sweep import Sweep

# Sums of some hundred terms in another order, over some tens of steps.
_SAME = 1e-9
_STEPS = [0, 1, 7, 40]
_D = 11

_EVERY = (
    "loss", "gradient_norm", "signal_error", "measurement_error", "noise_ratio", "jacobian_min",
    "jacobian_ratio", "weight_distance", "weight_radius", "allowed_radius", "loss_bound",
    "operator_min", "restricted_injectivity", "recovery_bound", "width_bound",
)  # fmt: skip


def document(**changes: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": "prior",
        "problem": {"kind": "deep_prior", "signal_dim": 6, "measurement_dim": 4},
        "network": {"width": 9, "input_dim": _D},
        "training": {"learning_rate": 0.3, "num_steps": _STEPS[-1]},
        "record": {"spacing": "explicit", "steps": _STEPS, "observables": list(_EVERY)},
    }
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        result.setdefault(section, {})[inner] = value
    return result


# --- the oracle: W as it is, gradients by the chain rule, Jacobians written out ---

ACTIVATIONS = {
    "sigmoid": (
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    ),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "softplus": (lambda z: np.log(1 + np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
    "arctan": (np.arctan, lambda z: 1 / (1 + z**2)),
}


def logistic(v):
    return 1 / (1 + np.exp(-v))


def loss(name: str, v, y, p):
    if name == "half_squared":
        return 0.5 * (v - y) @ (v - y)
    if name == "power":
        return np.sum(np.abs(v - y) ** p) / p
    s = logistic(y)
    return float(
        sum(
            -a * math.log(logistic(b)) - (1 - a) * math.log(1 - logistic(b))
            + a * math.log(a) + (1 - a) * math.log(1 - a)
            for a, b in zip(s, v, strict=True)
        )
    )  # fmt: skip


def slope(name: str, v, y, p):
    if name == "half_squared":
        return v - y
    if name == "power":
        return np.sign(v - y) * np.abs(v - y) ** (p - 1)
    return logistic(v) - logistic(y)


class Oracle:
    """A run with its full weights, from what the engine has drawn."""

    def __init__(self, constants: Any, row: RunSettings, rng: np.random.Generator) -> None:
        k, m, n = (int(size) for size in constants.sizes)
        self.A = np.asarray(constants.operator)[:m, :n]
        self.V0 = np.asarray(constants.output_weights)[:n, :k] * np.sqrt(k)
        self.x = np.asarray(constants.signal)[:n]
        self.y = np.asarray(constants.measurements)[:m]
        self.e = self.y - self.A @ self.x
        self.u = rng.standard_normal(_D)
        self.u /= np.linalg.norm(self.u)
        # Any W(0) with the drawn W(0) u.
        free = rng.standard_normal((k, _D))
        self.W0 = free + np.outer(np.asarray(constants.start)[:k] - free @ self.u, self.u)
        self.phi, self.slope = ACTIVATIONS[row["network.activation"]]
        self.loss_name, self.p = row["problem.loss"], row.number("problem.loss_power", np.nan)
        self.both = row["network.trained_layers"] == "both"
        self.root = np.sqrt(k)

    def output(self, W, V):
        return V @ self.phi(W @ self.u) / self.root

    def gradients(self, W, V):
        z = W @ self.u
        s = self.A.T @ slope(self.loss_name, self.A @ self.output(W, V), self.y, self.p)
        first = np.outer(self.slope(z) * (V.T @ s), self.u) / self.root
        return first, np.outer(s, self.phi(z)) / self.root

    def jacobian(self, W, V):
        """J_g: each output against each entry of W, then of V."""
        z = W @ self.u
        (n, k), d = V.shape, len(self.u)
        first = np.zeros((n, k, d))
        for i in range(n):
            for j in range(k):
                first[i, j] = V[i, j] * self.slope(z[j]) * self.u / self.root
        parts = [first.reshape(n, -1)]
        if self.both:
            parts.append(np.kron(np.eye(n), self.phi(z)[None]) / self.root)
        return np.concatenate(parts, axis=1)

    def descend(self, rate: float, stops: list[int]) -> list[tuple[Any, Any]]:
        W, V, found = self.W0.copy(), self.V0.copy(), []
        for step in range(stops[-1] + 1):
            if step in stops:
                found.append((W.copy(), V.copy()))
            first, second = self.gradients(W, V)
            W -= rate * first
            if self.both:
                V -= rate * second
        return found

    def psi(self, value):
        m, p = len(self.y), self.p
        if self.loss_name == "half_squared":
            return np.sqrt(2 * value)
        return (
            m ** (1 / 2 - 1 / p) * (p * value) ** (1 / p) if self.loss_name == "power" else np.nan
        )

    def loss_bound(self, start, share, steps):
        """Theory's recursion L <- L - share / psi'(L)^2 as the flow that bounds it."""
        if self.loss_name == "half_squared":
            return start * (1 - 2 * share) ** steps
        if self.loss_name == "power":
            m, p = len(self.y), self.p
            q = (p - 2) / p
            pace = share * (m ** (1 / p - 1 / 2) * p ** ((p - 1) / p)) ** 2
            return (start**-q + q * pace * steps) ** (-1 / q)
        return np.nan

    def observables(self, W, V, step: int, rate: float) -> dict[str, Any]:
        x = self.output(W, V)
        value = loss(self.loss_name, self.A @ x, self.y, self.p)
        start = loss(self.loss_name, self.A @ self.output(self.W0, self.V0), self.y, self.p)
        sigma = np.linalg.svd(self.A, compute_uv=False)[len(self.y) - 1]
        n, k = V.shape
        J, J0 = self.jacobian(W, V), self.jacobian(self.W0, self.V0)
        # min ||J^T w||: the n-th singular value of J, whose rank may be smaller.
        least, least0 = (np.linalg.svd(each, compute_uv=False)[n - 1] for each in (J, J0))
        if k < n and not self.both:
            # V diag(phi') has k columns.
            assert least < 1e-12
            least, least0 = 0.0, 0.0
        first, second = self.gradients(W, V)
        squares = np.sum(first**2) + (np.sum(second**2) if self.both else 0)
        moved = np.sum((W - self.W0) ** 2) + np.sum((V - self.V0) ** 2)
        # Signs may repeat, and J then has fewer directions than min(n, k).
        gaps = np.linalg.svd(J, compute_uv=False)
        reached = int(np.sum(gaps > 1e-6 * gaps[0]))
        frame = np.linalg.svd(J)[0][:, :reached]
        gains = np.linalg.svd(self.A @ frame, compute_uv=False)
        injective = gains[-1] if reached <= len(self.y) else 0.0
        missed = np.linalg.norm(self.A @ x - self.y) + np.linalg.norm(self.e)
        grid = np.linspace(-8, 8, 160001)
        bend = np.max(np.abs(np.gradient(self.slope(grid), grid)))
        lipschitz = bend * np.linalg.norm(self.V0, 2) / self.root
        clean = np.linalg.norm(self.A @ self.x)
        return {
            "loss": value,
            "gradient_norm": np.sqrt(squares),
            "signal_error": np.linalg.norm(x - self.x) / np.linalg.norm(self.x),
            "measurement_error": np.linalg.norm(self.A @ (x - self.x)) / clean,
            "noise_ratio": np.linalg.norm(self.e) / clean,
            "jacobian_min": least,
            "jacobian_ratio": least / least0 if least0 else np.nan,
            "weight_distance": np.sqrt(moved),
            "weight_radius": 2 * self.psi(start) / (sigma * least0) if least0 else np.inf,
            "allowed_radius": np.nan if self.both else least0 / (2 * lipschitz),
            "loss_bound": self.loss_bound(start, rate * (sigma * least0) ** 2 / 8, step),
            "operator_min": sigma,
            "restricted_injectivity": injective,
            "recovery_bound": (
                missed / (injective * np.linalg.norm(self.x)) if injective else np.inf
            ),
            "width_bound": n * self.psi(start) ** 4 / sigma**4,
        }


# --- the engine ---


def curvature_rate(oracle: Oracle, share: float) -> float:
    """The learning rate of training.step_rule = "curvature"."""
    # The smaller of the two Gram matrices: J has a column a weight.
    measured = oracle.A @ oracle.jacobian(oracle.W0, oracle.V0)
    v = oracle.A @ oracle.output(oracle.W0, oracle.V0)
    value, p = loss(oracle.loss_name, v, oracle.y, oracle.p), oracle.p
    bend = {
        "half_squared": 1.0,
        "power": (p - 1) * (p * value) ** ((p - 2) / p),
        "cross_entropy": 0.25,
    }[oracle.loss_name]
    return share / (bend * np.linalg.eigvalsh(measured @ measured.T)[-1])


def compare(sweep: Sweep, names: tuple[str, ...], rate: float | None = None) -> Trained:
    """Train all runs of a sweep as one batch, and each by the oracle, up to where it stops."""
    plan = make_plan(sweep)
    assert plan.num_programs == 1
    width = plan.program_widths[0]
    trained = train_batch(plan.settings, plan.shared, width)
    # The program that has just trained them, so what they were given.
    program = PROGRAMS.dense(plan.row(0), width, plan.num_runs)
    with numerics():
        inputs, _ = program.start(program.arguments(plan.settings))
    inputs = jax.tree.map(np.asarray, inputs)
    rng = np.random.default_rng(0)
    for run in range(plan.num_runs):
        row = plan.row(run)
        constants = jax.tree.map(itemgetter(run), inputs.constants)
        oracle = Oracle(constants, row, rng)
        own = float(constants.learning_rate)
        wanted = curvature_rate(oracle, row["training.learning_rate"]) if rate is None else rate
        np.testing.assert_allclose(own, wanted, rtol=_SAME)
        steps = trained.steps.tolist()[: trained.num_rows[run]]
        for i, (W, V) in enumerate(oracle.descend(own, steps)):
            expected = oracle.observables(W, V, steps[i], own)
            for name in names:
                # The largest second derivative of the oracle is found on a grid.
                tolerance = 1e-6 if name == "allowed_radius" else _SAME
                np.testing.assert_allclose(
                    trained.observables[name][run, i],
                    expected[name],
                    rtol=tolerance,
                    atol=1e-12,
                    err_msg=f"{name}, step {steps[i]}, {row}",
                )
    return trained


def start(row: RunSettings, width: int) -> Any:
    """Return a run's constants, of the engine's own drawing."""
    drawing = PriorDrawing.from_row(row, width)
    kernel = drawing.kernel(Layout(1))
    numbers = {key: row[key] for key in drawing.example_arguments() if row[key] is not None}
    arguments = drawing.example_arguments() | numbers

    def constants(arguments: Any) -> Any:
        return drawing.start(kernel, arguments, lambda array: array)[0].constants

    # Compiled with less care, in half the time: only what is drawn is looked at.
    return jax.jit(constants, compiler_options={"xla_backend_optimization_level": 0})(arguments)


def test_training_on_z_is_gradient_descent_on_all_of_W_for_every_size_of_one_program():
    sweep = Sweep.from_dict(
        document(
            network__width=[3, 9], problem__signal_dim=[5, 7], problem__measurement_dim=[2, 4],
            problem__noise_level=0.1,
        )
    )  # fmt: skip
    trained = compare(sweep, _EVERY, rate=0.3)
    assert trained.kernel_reason[0] == "trained on z = W u, exactly"


def test_training_both_layers_is_gradient_descent_on_both_until_it_stops():
    names = ("loss", "gradient_norm", "signal_error", "jacobian_min", "weight_distance",
             "allowed_radius", "restricted_injectivity")  # fmt: skip
    sweep = Sweep.from_dict(
        document(
            network__width=[3, 9], network__trained_layers="both", network__activation="arctan",
            network__output_entries="uniform", problem__measurement_dim=[2, 4],
            training__step_rule="curvature", record__observables=list(names),
            record__steps=[0, 1, 7, 20, 40, 80], training__num_steps=80,
            training__stop_when={"observable": "loss", "below": 2e-2},
        )
    )  # fmt: skip
    trained = compare(sweep, names)
    # Three of the four have stopped, at steps 20 and 40.
    assert sorted(trained.stopped_step.tolist()) == [-1, 20, 40, 40]
    losses = trained.observables["loss"]
    for run, stopped in enumerate(trained.stopped_step):
        if stopped < 0:
            assert np.all(losses[run] >= 2e-2)
            continue
        assert np.all(losses[run, trained.steps < stopped] >= 2e-2)
        assert losses[run, trained.steps == stopped] < 2e-2
        assert trained.steps[trained.num_rows[run] - 1] == stopped


@pytest.mark.parametrize(
    ("loss_name", "activation"),
    [("power", "tanh"), pytest.param("cross_entropy", "softplus", marks=pytest.mark.slow)],
)
def test_other_losses_and_activations(loss_name: str, activation: str):
    names = ("loss", "gradient_norm", "signal_error", "weight_distance", "weight_radius",
             "loss_bound")  # fmt: skip
    changes: dict[str, Any] = {"problem__loss_power": 3.0} if loss_name == "power" else {}
    sweep = Sweep.from_dict(
        document(
            problem__loss=loss_name, network__activation=activation, problem__signal="network",
            problem__operator="conditioned", problem__condition_number=3.0,
            record__observables=list(names), training__learning_rate=0.05, **changes,
        )
    )  # fmt: skip
    compare(sweep, names, rate=0.05)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[RunSettings, Any]]:
    """The settings and the constants of two runs, which differ in all that is drawn by kind."""
    changes = {
        "problem__operator": ["gaussian", "conditioned"],
        "network__output_entries": ["signs", "uniform"],
        "problem__loss": ["cross_entropy", "power"],
        "network__trained_layers": ["first", "both"],
    }
    plan = make_plan(
        Sweep.from_dict(
            document(
                problem__signal_dim=60, problem__measurement_dim=40, network__width=250,
                problem__noise_level=0.5, problem__condition_number=20.0, problem__loss_power=3.0,
                training__step_rule="curvature", training__learning_rate=0.7,
                sweep__zip=[[key.replace("__", ".") for key in changes]], **changes,
            )
        )
    )  # fmt: skip
    with numerics():
        rows = [plan.row(run) for run in range(plan.num_runs)]
        return [(row, start(row, 256)) for row in rows]


def test_the_step_of_the_curvature_rule(drawn: list[tuple[RunSettings, Any]]):
    for row, constants in drawn:
        rate = curvature_rate(Oracle(constants, row, np.random.default_rng(1)), 0.7)
        np.testing.assert_allclose(constants.learning_rate, rate, rtol=_SAME)


def test_what_is_drawn(drawn: list[tuple[RunSettings, Any]]):
    assert len(drawn) == 2
    for row, c in drawn:
        A, V = np.asarray(c.operator), np.asarray(c.output_weights)[:60, :250] * np.sqrt(250)
        assert not A[40:].any()
        assert not A[:, 60:].any()
        assert not np.asarray(c.output_weights)[60:].any()
        assert not np.asarray(c.start)[250:].any()
        assert not np.asarray(c.measurements)[40:].any()
        # Six standard deviations of the sampled moments: below 1e-7 together.
        assert np.mean(V) == pytest.approx(0, abs=6 / np.sqrt(V.size))
        assert np.mean(V**2) == pytest.approx(1, abs=6 * 0.9 / np.sqrt(V.size))
        assert np.abs(V).max() <= np.sqrt(3)
        assert (set(np.unique(np.round(V, 12))) == {-1.0, 1.0}) == (
            row["network.output_entries"] == "signs"
        )
        z, x = np.asarray(c.start)[:250], np.asarray(c.signal)[:60]
        for values in (z, x):
            assert np.mean(values**2) == pytest.approx(1, abs=6 * np.sqrt(2 / len(values)))
        assert float(c.noise_norm) == pytest.approx(0.5 * np.sqrt(40), rel=6 / np.sqrt(80))
        np.testing.assert_allclose(
            np.linalg.norm(np.asarray(c.measurements) - A @ np.asarray(c.signal)), c.noise_norm
        )
        values = np.linalg.svd(A[:40, :60], compute_uv=False)
        if row["problem.operator"] == "conditioned":
            expected = 20.0 ** -(np.arange(40) / 39)
            np.testing.assert_allclose(values / values[0], expected, rtol=_SAME)
            assert np.sum(values**2) == pytest.approx(60, rel=_SAME)
        else:
            assert np.sum(values**2) == pytest.approx(60, rel=6 * np.sqrt(2 / 2400))


def test_arrays_have_few_sizes_that_hold_every_dimension():
    for coarse, expected in ((True, {8, 16, 32, 64}), (False, {8, 12, 16, 24, 32, 48, 64})):
        rooms = [room_for(size, coarse) for size in range(1, 65)]
        assert set(rooms) == expected
        assert all(room >= size for size, room in enumerate(rooms, start=1))
        assert rooms == sorted(rooms)


def _bregman(y: float, r: float) -> float:
    """softplus(y + r) - softplus(y) - s(y) r to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        start, step = Decimal(y), Decimal(r)
        softplus = [(1 + x.exp()).ln() for x in (start + step, start)]
        return float(softplus[0] - softplus[1] - step / (1 + (-start).exp()))


@pytest.mark.parametrize(
    # What the series leaves out, and what the closed form loses just beyond it.
    ("dtype", "tolerance"),
    [(np.float64, 2e-13), (np.float32, 1e-5)],
)
def test_the_cross_entropy_is_accurate_however_near_its_least_value(dtype, tolerance):
    ends = (-45.0, -3.0, -0.25, 0.0, 0.75, 4.0, 17.0)
    sizes = (2.0**-40, 1e-6, 3e-3, 0.0099, 0.0101, 0.099, 0.101, 0.5, 3.0, 31.0, 79.0, 90.0)
    y = np.repeat(np.array(ends, dtype), 2 * len(sizes))
    r = np.tile(np.array([*sizes, *(-size for size in sizes)], dtype), len(ends))
    # What a network gives is rounded itself: the step is the one that is left.
    v = (y + r).astype(dtype)
    with numerics():
        found = [
            float(loss_value("cross_entropy", jnp.array([a]), jnp.array([b]), jnp.ones((), dtype)))
            for a, b in zip(v, y, strict=True)
        ]
    wanted = [_bregman(float(b), float(a - b)) for a, b in zip(v, y, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=0)
    assert min(found) >= 0
