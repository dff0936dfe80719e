"""The network "committee" on the expected loss, against NumPy in all d dimensions."""

from __future__ import annotations

from math import pi
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from planned_runs import train
from scipy import special
from scipy import stats as scipy_stats

import dlnsweep
from dlnsweep.contracts.drawing import drawing_of
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.networks.population.moments import moment_of
from dlnsweep.networks.population.one_pass import samples_of
from dlnsweep.networks.population.student import Student, squared_distance
from dlnsweep.numerics.lazy import jax, optax
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key, step_keys
from dlnsweep.plan.plan import make_plan
from dlnsweep.problems.population import Teacher
from dlnsweep.settings.optimizers import OPTIMIZER_WORDS
from dlnsweep.spec.sweep import Sweep

# Its types are wrong.
stats: Any = scipy_stats
D, M, K, STEPS = 40, 2, 3, 60
# Sums of some ten terms in another order and another basis, sixty steps of it; near parallel
# vectors an angle is the arc cosine of a rounded number on the one side.
ROUNDING = 1e-11


def document(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": "committee",
        "problem": {
            "kind": "population", "input_dim": D, "num_teacher_neurons": M,
            "teacher_directions": "gaussian", "teacher_scale": 0.8, "output_noise": 0.3,
        },
        "network": {
            "width": K, "activation": "erf", "trained_layers": "both", "layer_init_scale": 0.7,
            "initial_correlation": 0.3, "readouts": "signs", "readout_scale": 0.9,
        },
        "training": {
            "learning_rate": 0.05, "weight_decay": 0.02, "data_fit_scale": 1.3, "num_steps": STEPS,
        },
        "record": {
            "observables": [
                "loss", "generalization_error", "teacher_overlaps", "student_overlaps", "readouts",
                "parameter_norm", "gradient_norm",
            ],
            "spacing": "linear", "count": STEPS + 1,
        },
        "sweep": {"seeds": 1, "precision": "float64"},
    }  # fmt: skip
    for key, value in changes.items():
        section, _, name = key.partition("__")
        found[section] = found[section] | {name: value}
    return found


def started(made: Sweep, index: int = 0) -> tuple[np.ndarray, ...]:
    """Return W(0) and a(0), V and b of a run, in coordinates."""
    row = make_plan(made).row(index)
    drawing: Any = drawing_of(row, row["network.width"])
    numbers = {k: row.number(k, v) for k, v in drawing.example_arguments().items()}
    with numerics():
        drawn = drawing.draw({key: jnp.asarray(value) for key, value in numbers.items()})
        teacher, student = drawn.samples.targets, drawn.params
        return tuple(
            np.asarray(each)
            for each in (student.neurons, student.readouts, teacher.neurons, teacher.readouts)
        )


# E s(u.x) s(v.x), and its derivative with respect to u, for two vectors of any dimension.


def moment(kind: str, u: np.ndarray, v: np.ndarray) -> Any:
    uu, vv, uv = u @ u, v @ v, u @ v
    if kind == "erf":
        return 2 / pi * np.arcsin(uv / np.sqrt((1 + uu) * (1 + vv)))
    if kind == "quadratic":
        return uu * vv + 2 * uv**2
    if kind == "linear":
        return uv
    # The angle of two directions by half of it, which does not cancel.
    u0, v0 = u / np.sqrt(uu), v / np.sqrt(vv)
    angle = 2 * np.arctan2(np.linalg.norm(u0 - v0), np.linalg.norm(u0 + v0))
    return np.sqrt(uu * vv) * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)


def slope(kind: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    uu, vv, uv = u @ u, v @ v, u @ v
    if kind == "erf":
        return 2 / pi * (v - uv / (1 + uu) * u) / np.sqrt((1 + uu) * (1 + vv) - uv**2)
    if kind == "quadratic":
        return 2 * vv * u + 4 * uv * v
    if kind == "linear":
        return v
    u0, v0 = u / np.sqrt(uu), v / np.sqrt(vv)
    angle = 2 * np.arctan2(np.linalg.norm(u0 - v0), np.linalg.norm(u0 + v0))
    return (np.sqrt(vv) * np.sin(angle) * u0 + (pi - angle) * v) / (2 * pi)


def half_error(kind: str, w: Any, a: Any, v: Any, b: Any) -> Any:
    vectors, signed = [*w, *v], [*a, *(-each for each in b)]
    pairs = list(zip(vectors, signed, strict=True))
    return 0.5 * sum(c * e * moment(kind, p, q) for p, c in pairs for q, e in pairs)


def gradients(kind: str, w: Any, a: Any, v: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    vectors, signed = [*w, *v], [*a, *(-each for each in b)]
    pairs = list(zip(vectors, signed, strict=True))
    of_w = np.array([c * sum(e * slope(kind, p, q) for q, e in pairs) for p, c in pairs[: len(w)]])
    of_a = np.array([sum(e * moment(kind, p, q) for q, e in pairs) for p in w])
    return of_w, of_a


@pytest.mark.parametrize("kind", ["erf", "relu", "quadratic", "linear"])
def test_descent_in_the_span_is_descent_in_all_dimensions(kind: str):
    made = Sweep.from_dict(document(network__activation=kind))
    w, a, v, b = started(made)
    # Any rotation into d dimensions: what is recorded does not depend on it.
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((D, K + M)))[0]
    w, v = w @ rotation.T, v @ rotation[:, :M].T
    found = train(make_plan(made)).observables
    eta, decay, scale, noise = 0.05, 0.02, 1.3, 0.3
    error = np.inf
    for step in range(STEPS + 1):
        error = half_error(kind, w, a, v, b)
        of_w, of_a = gradients(kind, w, a, v, b)
        of_w, of_a = scale * of_w + decay * w, scale * of_a + decay * a
        penalty = decay / 2 * (np.sum(w**2) + np.sum(a**2))
        wanted = {
            "generalization_error": error,
            "loss": scale * (error + noise**2 / 2) + penalty,
            "teacher_overlaps": (w @ v.T).ravel(),
            "student_overlaps": (w @ w.T).ravel(),
            "readouts": a,
            "parameter_norm": np.sqrt(np.sum(w**2) + np.sum(a**2)),
            "gradient_norm": np.sqrt(np.sum(of_w**2) + np.sum(of_a**2)),
        }
        for name, value in wanted.items():
            np.testing.assert_allclose(
                found[name][0, step], value, rtol=ROUNDING, atol=ROUNDING, err_msg=f"{name} {step}"
            )
        w, a = w - eta * of_w, a - eta * of_a
    assert error < 0.9 * found["generalization_error"][0, 0]


def test_moments_are_averages_over_gaussian_inputs():
    """Beside quadrature in the plane of two vectors."""
    uu, vv, uv = 1.3, 0.6, -0.5
    root = np.linalg.cholesky([[uu, uv], [uv, vv]])
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    z = np.einsum("ij,jab->iab", root, np.array(np.meshgrid(nodes, nodes, indexing="ij")))
    area = np.outer(weights, weights)
    smooth = {
        "linear": lambda z: z,
        "quadratic": lambda z: z**2,
        "erf": lambda z: special.erf(z / np.sqrt(2)),
    }
    with numerics():
        one = [jnp.asarray(each) for each in (uu, vv, uv)]
        for kind, function in smooth.items():
            wanted = np.sum(area * function(z[0]) * function(z[1]))
            # 120 nodes of a function that is analytic in a strip.
            assert float(moment_of(kind)(*one)) == pytest.approx(wanted, rel=1e-10), kind
        # ReLU in polar coordinates: the radius integrates to 2, the angle where both are on.
        angle = np.arccos(uv / np.sqrt(uu * vv))
        ends = np.pi / 2 - angle
        points, weights = np.polynomial.legendre.leggauss(40)
        phi = ends + (points - 1) / 2 * (ends + np.pi / 2)
        integral = np.sum(weights * np.cos(phi) * np.cos(phi + angle)) * (ends + np.pi / 2) / 2
        wanted = np.sqrt(uu * vv) * integral / np.pi
        assert float(moment_of("relu")(*one)) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize("kind", ["relu", "erf"])
def test_parallel_and_vanishing_vectors_have_finite_slopes_and_curvature(kind: str):
    # The student's first vector is the teacher's, its second opposite to it, its third zero.
    neurons = np.array([[0.8, 0.6], [-1.6, -1.2], [0.0, 0.0]])
    with numerics():
        one = jnp.asarray(1.0)
        teacher = Teacher(jnp.asarray([[0.8, 0.6], [0.0, 0.0]]), jnp.ones(2), one)

        def distance(entries: Any) -> Any:
            return squared_distance(kind, Student(entries, jnp.ones(3)), teacher)

        entries = jnp.asarray(neurons)
        slopes, curvature = jax.grad(distance)(entries), jax.hessian(distance)(entries)
    assert np.isfinite(slopes).all()
    assert np.isfinite(curvature).all()
    # The first two cancel the first of the teacher's, and what is left is that of the second.
    rest = [2 * slope(kind, neurons[k], neurons[1]) for k in range(2)]
    np.testing.assert_allclose(slopes[:2], rest, atol=1e-15)


def test_the_dimension_is_a_number_of_one_program_and_the_start_has_its_law():
    """Inner products at the start are those of Gaussian vectors of d dimensions.

    Kolmogorov-Smirnov tests of 400 seeds each: of five, one fails in 10^5 right programs.
    """
    made = Sweep.from_dict(
        document(problem__input_dim=[6, 40, 10**12], training__num_steps=1, sweep__seeds=400,
                 record__observables=["teacher_overlaps", "student_overlaps"],
                 record__spacing="linear", record__count=2)
    )  # fmt: skip
    plan = make_plan(made)
    assert len(set(plan.programs)) == 1
    found = train(plan).observables
    overlaps = found["teacher_overlaps"][:, 0].reshape(-1, K, M)
    products = found["student_overlaps"][:, 0].reshape(-1, K, K)
    dims = np.asarray(plan.settings["problem.input_dim"])
    drawn = np.random.default_rng(1)
    for d in (6, 40):
        size = 2000
        rows = drawn.standard_normal((size, K + M, d))
        w, v = rows[:, :K], rows[:, K:] / np.sqrt(d)
        mixed = np.linalg.cholesky(0.7 * np.eye(K) + 0.3)
        w = 0.7 / np.sqrt(d) * np.einsum("kl,sld->skd", mixed, w)
        own = dims == d
        for mine, theirs in (
            (overlaps[own][:, 2, 1], np.einsum("sd,sd->s", w[:, 2], v[:, 1])),
            (products[own][:, 2, 2], np.sum(w[:, 2] ** 2, axis=1)),
            (products[own][:, 0, 2], np.einsum("sd,sd->s", w[:, 0], w[:, 2])),
        ):
            assert stats.ks_2samp(mine, theirs).pvalue > 2e-6
    # At 10^12 lengths are sharp and overlaps are N(0, alpha^2 / d).
    own = dims == 10**12
    np.testing.assert_allclose(products[own][:, 0, 2], 0.3 * 0.49, rtol=1e-4)
    scaled = overlaps[own][:, 1, 0] * 10**6 / 0.7
    assert stats.kstest(scaled, "norm").pvalue > 2e-6


def test_what_it_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Exception, match=r"at least num_teacher_neurons \+ width"):
        Sweep.from_dict(document(problem__input_dim=4))
    with pytest.raises(Exception, match=r"optimizer is 'adam'.*'gradient_descent' or 'momentum'"):
        Sweep.from_dict(document(training__optimizer="adam"))
    # A stranger's is carried out if it says, and is found to be, one of inner products alone.
    for name, isotropic in (("whole", True), ("by_sign", False)):
        own = dlnsweep.Optimizer(name, lambda _: optax.scale(2.0), isotropic=isotropic)
        monkeypatch.setitem(OPTIMIZERS, name, own)
        monkeypatch.setitem(OPTIMIZER_WORDS._versions, name, "1")
    assert Sweep.from_dict(document(training__optimizer="whole"))
    with pytest.raises(Exception, match="optimizer is 'by_sign'"):
        Sweep.from_dict(document(training__optimizer="by_sign"))
    with pytest.raises(Exception, match=r'precision is .float32.*"float64"'):
        Sweep.from_dict(document(sweep__precision="float32"))
    with pytest.raises(Exception, match=r"minibatch_size is 3.*fresh ones: set it to .one_pass"):
        Sweep.from_dict(document(training__minibatch_size=3))
    passing = {"training__minibatch_size": 3, "training__minibatch_order": "one_pass"}
    with pytest.raises(Exception, match=r"known for 'gradient_descent' only"):
        Sweep.from_dict(document(**passing, training__optimizer="momentum"))
    with pytest.raises(Exception, match=r"'parameter_distance'; one pass .*turns the coord"):
        Sweep.from_dict(document(**passing, record__observables=["parameter_distance"]))
    with pytest.raises(Exception, match=r"width \+ minibatch_size, of 2, 3 and 3"):
        Sweep.from_dict(document(**passing, problem__input_dim=7))
    with pytest.raises(Exception, match="must be a whole number"):
        Sweep.from_dict(document(problem__input_dim=40.5))
    with pytest.raises(Exception, match=r"kernel is 'jumps'.*'auto' or 'generic' or 'simd'"):
        Sweep.from_dict(document(sweep__kernel="jumps"))
    with pytest.raises(Exception, match=r"label_noise is 0.1, which is for targets of samples"):
        Sweep.from_dict(document(training__label_noise=0.1))


@pytest.mark.parametrize("kind", ["erf", pytest.param("relu", marks=pytest.mark.slow)])
def test_one_pass_is_descent_on_samples_whose_law_is_that_of_d_dimensions(kind: str):
    """Against NumPy with the same numbers drawn: three samples a step, both layers, decay."""
    batch, steps, size = 3, 25, 1e9
    made = Sweep.from_dict(
        document(network__activation=kind, problem__input_dim=size, training__num_steps=steps,
                 training__minibatch_size=batch, training__minibatch_order="one_pass",
                 training__learning_rate=3e-6, record__count=steps + 1, sweep__seeds=1)
    )  # fmt: skip
    w, a, v, b = started(made)
    v = np.pad(v, ((0, 0), (0, K)))
    activation = {
        "erf": (
            lambda z: special.erf(z / np.sqrt(2)),
            lambda z: np.sqrt(2 / pi) * np.exp(-(z**2) / 2),
        ),
        "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    }
    function, slope_of = activation[kind]
    found = train(make_plan(made)).observables
    with numerics():
        stream = purpose_key(jnp.asarray(0), "training/stream")
    eta, decay, scale, noise = 3e-6, 0.02, 1.3, 0.3
    for step in range(steps + 1):
        wanted = {
            "teacher_overlaps": (w @ v.T).ravel(), "student_overlaps": (w @ w.T).ravel(),
            "readouts": a, "generalization_error": half_error(kind, w, a, v, b),
        }  # fmt: skip
        for name, value in wanted.items():
            np.testing.assert_allclose(
                found[name][0, step], value, rtol=ROUNDING, atol=ROUNDING, err_msg=f"{name} {step}"
            )
        with numerics():
            key = step_keys(stream, jnp.asarray(step))
            along, beyond, error = (
                np.asarray(each) for each in samples_of(key, K + M, batch, jnp.asarray(size))
            )
        x = np.concatenate([along, beyond])
        wide, teacher = np.pad(w, ((0, 0), (0, batch))), np.pad(v, ((0, 0), (0, batch)))
        z = wide @ x
        off = a @ function(z) - b @ function(teacher @ x) - noise * error
        of_w = scale * ((a[:, None] * slope_of(z)) * off) @ x.T / batch + decay * wide
        of_a = scale * function(z) @ off / batch + decay * a
        wide, a = wide - eta * of_w, a - eta * of_a
        # Any coordinates of what is beyond the teacher: here those of LAPACK's triangle, too.
        rest = np.asarray(np.linalg.qr(wide[:, M:].T, mode="r")).T
        w = np.concatenate([wide[:, :M], rest], axis=1)
    # Steps of 3e-6 on inputs of length 3e4 turn the student.
    assert abs(found["student_overlaps"][0, -1] - found["student_overlaps"][0, 0]).max() > 0.01


def test_samples_of_a_step_have_the_law_of_gaussian_vectors():
    """Inner products of two samples and of one with itself, beyond a span of 5 of 9 dimensions."""

    def drawn(seed: Any) -> Any:
        key = step_keys(purpose_key(seed, "training/stream"), jnp.int64(3))
        _, beyond, _ = samples_of(key, 5, 2, jnp.asarray(9.0))
        return beyond.T @ beyond

    with numerics():
        found = np.asarray(jax.jit(jax.vmap(drawn))(jnp.arange(2000)))
    rows = np.random.default_rng(0).standard_normal((4000, 2, 4))
    wanted = rows @ rows.transpose(0, 2, 1)
    # One in 10^5 right programs fails.
    assert stats.kstest(found[:, 1, 1], stats.chi2(4).cdf).pvalue > 3e-6
    assert stats.kstest(found[:, 0, 0], stats.chi2(4).cdf).pvalue > 3e-6
    assert stats.ks_2samp(found[:, 0, 1], wanted[:, 0, 1]).pvalue > 3e-6


@pytest.mark.parametrize("kind", ["relu", pytest.param("erf", marks=pytest.mark.slow)])
def test_curvature_is_that_of_all_dimensions(kind: str):
    """Beside central differences of the gradient by hand, in all 9 dimensions and with readouts."""
    size = 9
    made = Sweep.from_dict(
        document(network__activation=kind, problem__input_dim=size, training__num_steps=1,
                 record__observables=["sharpness", "hessian_eigenvalues", "hessian_trace"],
                 record__num_eigenvalues=20, record__count=2)
    )  # fmt: skip
    w, a, v, b = started(made)
    v = np.pad(v, ((0, 0), (0, size - M)))
    at = np.concatenate([np.pad(w, ((0, 0), (0, size - K - M))).ravel(), a])

    def gradient(point: np.ndarray) -> np.ndarray:
        w, a = point[: K * size].reshape(K, size), point[K * size :]
        of_w, of_a = gradients(kind, w, a, v, b)
        return np.concatenate([(1.3 * of_w + 0.02 * w).ravel(), 1.3 * of_a + 0.02 * a])

    step = 1e-5
    columns = [
        (gradient(at + step * unit) - gradient(at - step * unit)) / (2 * step)
        for unit in np.eye(len(at))
    ]
    wanted = np.sort(np.linalg.eigvalsh((np.array(columns) + np.array(columns).T) / 2))[::-1]
    found = train(make_plan(made)).observables
    # Differences of step 1e-5: 1e-10 of what is smooth.
    np.testing.assert_allclose(found["hessian_eigenvalues"][0, 0], wanted[:20], atol=1e-8)
    assert found["sharpness"][0, 0] == pytest.approx(wanted[0], abs=1e-8)
    assert found["hessian_trace"][0, 0] == pytest.approx(wanted.sum(), abs=1e-7)


def instance(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a random sweep of one run, and its choices."""
    rng = np.random.default_rng(number)
    chosen: dict[str, Any] = {
        "kind": rng.choice(["erf", "relu", "quadratic", "linear"]).item(),
        "optimizer": rng.choice(["gradient_descent", "momentum", "nesterov"]).item(),
        "both": bool(rng.random() < 0.5),
        "students": int(rng.integers(1, 5)),
        "teachers": int(rng.integers(1, 4)),
        "decay": float(rng.choice([0.0, 10 ** rng.uniform(-4, -1)])),
        "radius": float(rng.choice([0.0, 0.05])),
        "clip": float(rng.choice([0.0, 0.3])),
        "rate": 10 ** rng.uniform(-2.5, -1.5),
        "scale": rng.uniform(0.5, 2),
        "beta": rng.uniform(0.3, 0.9),
    }
    sizes = chosen["students"] + chosen["teachers"]
    training: dict[str, Any] = {
        "learning_rate": chosen["rate"], "weight_decay": chosen["decay"],
        "data_fit_scale": chosen["scale"], "num_steps": STEPS, "sam_radius": chosen["radius"],
        "clip_norm": chosen["clip"], "optimizer": chosen["optimizer"],
    }  # fmt: skip
    if chosen["optimizer"] != "gradient_descent":
        training["momentum"] = chosen["beta"]
    made = document() | {"training": training}
    made["problem"] = made["problem"] | {
        "input_dim": sizes + int(rng.integers(0, 30)), "num_teacher_neurons": chosen["teachers"],
        "teacher_directions": rng.choice(["gaussian", "orthonormal"]).item(),
    }  # fmt: skip
    made["network"] = made["network"] | {
        "width": chosen["students"], "activation": chosen["kind"],
        "trained_layers": "both" if chosen["both"] else "first",
        "initial_correlation": float(rng.uniform(0, 0.9)), "layer_init_scale": rng.uniform(0.3, 1),
    }  # fmt: skip
    made["sweep"] = {"seeds": [number], "precision": "float64"}
    return made, chosen


@pytest.mark.slow
def test_random_instances_are_descent_in_all_dimensions():
    """Sixty of them; momentum, SAM and clipping by their formulas."""
    for number in range(60):
        made, chosen = instance(number)
        sweep = Sweep.from_dict(made)
        w, a, v, b = started(sweep)
        students, teachers = chosen["students"], chosen["teachers"]
        size = int(made["problem"]["input_dim"])
        basis = np.linalg.qr(np.random.default_rng(0).standard_normal((size, students + teachers)))
        w, v = w @ basis[0].T, v @ basis[0][:, :teachers].T
        kind, both = chosen["kind"], chosen["both"]
        found = train(make_plan(sweep)).observables

        def slopes(w: Any, a: Any, v: Any = v, b: Any = b, kind: str = kind) -> list[np.ndarray]:
            return list(gradients(kind, w, a, v, b))

        moving = [np.zeros_like(w), np.zeros_like(a)]
        for step in range(STEPS + 1):
            wanted = {"teacher_overlaps": w @ v.T, "student_overlaps": w @ w.T, "readouts": a}
            for name, value in wanted.items():
                # Rounding of sixty steps, some of them of nearly parallel neurons.
                np.testing.assert_allclose(
                    found[name][0, step], value.ravel(), rtol=1e-10, atol=1e-10,
                    err_msg=f"{number} {name} {step} {chosen}",
                )  # fmt: skip
            of = slopes(w, a)
            kept = [True, both]
            norm = np.sqrt(sum(np.sum(g**2) for g, k in zip(of, kept, strict=True) if k))
            if chosen["radius"]:
                near = [p + chosen["radius"] * k * g / norm
                        for p, g, k in zip((w, a), of, kept, strict=True)]  # fmt: skip
                of = slopes(*near)
                norm = np.sqrt(sum(np.sum(g**2) for g, k in zip(of, kept, strict=True) if k))
            if chosen["clip"] and chosen["scale"] * norm > chosen["clip"]:
                of = [g * chosen["clip"] / (chosen["scale"] * norm) for g in of]
            of = [chosen["scale"] * g + chosen["decay"] * p
                  for g, p in zip(of, (w, a), strict=True)]  # fmt: skip
            if chosen["optimizer"] != "gradient_descent":
                moving = [chosen["beta"] * m + g for m, g in zip(moving, of, strict=True)]
                ahead = chosen["optimizer"] == "nesterov"
                of = [g + chosen["beta"] * m if ahead else m
                      for m, g in zip(moving, of, strict=True)]  # fmt: skip
            w = w - chosen["rate"] * of[0]
            a = a - chosen["rate"] * of[1] if both else a
