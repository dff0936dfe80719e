"""Gradient flow in place of steps: against SciPy's integrator and gradients written in NumPy."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from planned_runs import train
from scipy.integrate import solve_ivp

from dlnsweep.engine.programs import Programs
from dlnsweep.errors import RunError, SpecError
from dlnsweep.networks.generic import flow
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

pytest.importorskip("diffrax", reason="needs the extra flow")

TIMES, ETA, DECAY = 6, 0.7, 0.02
# SciPy's relative and absolute one; trajectories that approach a minimum forget errors.
REFERENCE = 1e-12
# Of all weights at once: some hundred substeps, each wrong by the tolerance at most.
SUBSTEPS = 100
KINDS: dict[str, dict[str, Any]] = {
    "mlp": {
        "problem": {"kind": "teacher", "signal_dim": 2, "measurement_dim": 4, "num_samples": 9,
                    "teacher_activation": "tanh"},
        "network": {"kind": "mlp", "depth": 2, "width": 5, "activation": "tanh"},
        "training": {"loss": "mean_squared", "learning_rate_factors": "1, 0.25",
                     "weight_decay_factors": "2, 1"},
    },
    "deep_linear": {
        "problem": {"kind": "subspace", "signal_dim": 4, "measurement_dim": 3, "subspace_dim": 2,
                    "num_samples": 7},
        "network": {"depth": 3, "width": 4},
    },
}  # fmt: skip


def document(kind: str, **sections: Any) -> dict[str, Any]:
    training = {"learning_rate": ETA, "num_steps": TIMES, "weight_decay": DECAY,
                "flow_tolerance": 1e-9}  # fmt: skip
    record: dict[str, Any] = {"spacing": "linear", "count": TIMES + 1, "observables": ["loss"]}
    found: dict[str, Any] = {
        "name": "flow",
        **KINDS[kind],
        "record": record | {"weights": list(range(TIMES + 1))},
    }
    found["training"] = training | KINDS[kind].get("training", {})
    found["sweep"] = {"kernel": "generic"}
    for name, changes in sections.items():
        found[name] = found[name] | changes
    return found


def plan_of(kind: str, **sections: Any) -> Any:
    return make_plan(Sweep.from_dict(document(kind, **sections)))


def velocity_of(kind: str, x: np.ndarray, y: np.ndarray, weights: list[np.ndarray]):
    """Return -R (grad L + D theta), layer by layer, for targets x and inputs y."""
    if kind == "deep_linear":
        w1, w2, w3 = weights
        r = w3 @ w2 @ w1 @ y - x
        found = [w2.T @ w3.T @ r @ y.T, w3.T @ r @ (w1 @ y).T, r @ (w2 @ w1 @ y).T]
        return [-ETA * (g + DECAY * w) for g, w in zip(found, weights, strict=True)]
    w1, w2 = weights
    h = np.tanh(w1 @ y)
    r = (w2 @ h - x) / x.shape[1]
    found = [(w2.T @ r * (1 - h**2)) @ y.T, r @ h.T]
    return [-ETA * a * (g + DECAY * b * w)
            for g, w, a, b in zip(found, weights, (1, 0.25), (2, 1), strict=True)]  # fmt: skip


def data_of(plan: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and inputs of the first run."""
    import jax

    from dlnsweep.contracts.drawing import drawing_of
    from dlnsweep.numerics.runtime import numerics

    row = plan.row(0)
    drawing: Any = drawing_of(row, plan.program_widths[0])
    given = drawing.example_arguments()
    given = {k: np.asarray(row.get(k, v) if k == "seed" else v) for k, v in given.items()}
    with numerics():
        samples, _ = jax.jit(lambda g: drawing.examples(drawing.sections, drawing.key_of(g)))(given)
    return np.asarray(samples.targets), np.asarray(samples.inputs)


@pytest.mark.parametrize("kind", ["mlp", "deep_linear"])
def test_weights_are_those_of_the_flow_at_its_times(kind: str):
    plan = plan_of(kind)
    weights = train(plan, [0]).weights
    names = sorted(weights)
    begun = [weights[name][0, 0] for name in names]
    shapes = [each.shape for each in begun]
    x, y = data_of(plan)

    def split(vector: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
        parts = np.split(vector, ends)
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def velocity(_: float, vector: np.ndarray) -> np.ndarray:
        found = velocity_of(kind, x, y, split(vector))
        return np.concatenate([each.ravel() for each in found])

    start = np.concatenate([each.ravel() for each in begun])
    times = np.arange(TIMES + 1)
    wanted = solve_ivp(
        velocity, (0, TIMES), start, "DOP853", times, rtol=REFERENCE, atol=REFERENCE
    ).y
    for step in times:
        found = np.concatenate([weights[name][0, step].ravel() for name in names])
        size = np.sqrt(np.mean(start**2))
        assert np.max(np.abs(found - wanted[:, step])) < SUBSTEPS * 1e-9 * size
    moved = np.linalg.norm(wanted[:, -1] - start) / np.linalg.norm(start)
    assert moved > 0.1, "something is to be followed"


def test_the_error_goes_with_the_tolerance_and_time_with_the_learning_rate():
    """Beyond the limit of stability of gradient descent, which diverges."""
    fine = train(plan_of("deep_linear", training={"flow_tolerance": 1e-12}), [0])
    ends = {name: values[0, -1] for name, values in fine.weights.items()}
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        found = train(plan_of("deep_linear", training={"flow_tolerance": tolerance}), [0]).weights
        errors.append(max(np.max(np.abs(found[name][0, -1] - ends[name])) for name in ends))
        assert errors[-1] < SUBSTEPS * tolerance
    assert errors[0] > errors[1] > errors[2]
    # All of the time in one step.
    once = {"learning_rate": TIMES * ETA, "num_steps": 1}
    found = train(
        plan_of("deep_linear", training=once, record={"count": 2, "weights": [0, 1]}), [0]
    )
    for name, values in found.weights.items():
        np.testing.assert_allclose(values[0, -1], ends[name], atol=SUBSTEPS * 1e-9)
    descent = train(plan_of("deep_linear", training={"flow_tolerance": 0.0}), [0])
    assert descent.status == ["diverged"]


@pytest.mark.parametrize(
    ("changes", "found", "wanted"),
    [
        ({"optimizer": "momentum"}, "training.optimizer is 'momentum'",
         'training.optimizer to "gradient_descent"'),
        ({"minibatch_size": 3}, "training.minibatch_size is 3", "training.minibatch_size to 0"),
        ({"label_noise": 0.1}, "training.label_noise is 0.1", "training.label_noise to 0"),
        ({"sam_radius": 0.1}, "training.sam_radius is 0.1", "training.sam_radius to 0"),
        ({"clip_norm": 1.0}, "training.clip_norm is 1.0", "training.clip_norm to 0"),
        ({"warmup_steps": 2}, "training.warmup_steps is 2.0", "training.warmup_steps to 0"),
    ],
)  # fmt: skip
def test_what_has_no_flow_is_refused(changes: dict[str, Any], found: str, wanted: str):
    with pytest.raises(SpecError) as caught:
        plan_of("mlp", training=changes)
    assert caught.value.problems == (
        "sweep: training.flow_tolerance is 1e-09, by which runs follow the gradient flow of their "
        f"loss, and {found}; set {wanted}, or leave the tolerance out.",
    )


def test_what_cannot_be_carried_out_is_refused():
    with pytest.raises(SpecError, match=r"sweep\.precision is 'float32'; set sweep\.precision to"):
        plan_of("mlp", sweep={"precision": "float32"})
    with pytest.raises(SpecError, match="float64 resolves no less than 1e-13: take that or more"):
        plan_of("mlp", training={"flow_tolerance": 1e-20})
    with pytest.raises(SpecError, match="which the generic way alone carries out"):
        plan_of("deep_linear", sweep={"kernel": "dense"})
    with pytest.raises(SpecError, match=r"training\.flow_tolerance is 1e-09, whose substeps go"):
        plan_of("mlp", sweep={"kernel": "reduced_inputs"})


def test_what_no_substeps_reach_has_diverged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flow, "MOST_SUBSTEPS", 2)
    found = train(plan_of("deep_linear"), [0], programs=Programs())
    assert found.status == ["diverged"]
    assert found.diverged_step.tolist() == [1]


@pytest.mark.parametrize(("start", "active"), [(np.nan, False), (0.0, True)])
def test_what_has_ended_or_rests_arrives_at_once(start: float, active: bool):
    """Else it takes as many substeps as there are, in each step, and runs beside it wait."""
    import jax

    from dlnsweep.numerics.runtime import numerics

    def step(params: Any, active: Any) -> Any:
        return flow.moved(lambda p: -p, params, flow.begun(), 1e-9 * flow.begun(), active)

    with numerics():
        after, length = jax.jit(step)(np.full(3, start), np.asarray(active))
    assert np.asarray(after).tolist() == [0, 0, 0]
    assert float(length) == 1


def test_the_next_step_of_a_flow_does_not_raise_the_loss():
    observed = {"observables": ["loss", "loss_increase"]}
    found = train(plan_of("mlp", record=observed), [0])
    assert (found.observables["loss_increase"] == 0).all()
    assert (np.diff(found.observables["loss"][0]) < 0).all()


def test_without_diffrax_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "diffrax" else known(name)
    )
    with pytest.raises(RunError, match=r"install it \(pip install 'dlnsweep\[flow\]'\)"):
        train(plan_of("mlp"), [0], programs=Programs())
