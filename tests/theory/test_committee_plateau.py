"""The plateau of committee machines and the ODE of one pass: published values, and simulation."""

from __future__ import annotations

from math import asin, erf, log, pi, sqrt

import numpy as np
import pytest

from dlnsweep.errors import SpecError
from dlnsweep.theory import committee, online


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_plateau_is_saad_and_sollas(size: int):
    beta = committee.symmetric_size("erf", size, size)
    # R = 1 / sqrt(K (2K - 1)), which for orthonormal teachers is beta itself.
    assert beta == pytest.approx(1 / sqrt(size * (2 * size - 1)), rel=1e-13)
    wanted = size / pi * (pi / 6 - size * asin(1 / (2 * size)))
    assert committee.plateau_error("erf", size, size) == pytest.approx(wanted, rel=1e-12)


def test_other_activations_are_at_a_minimum_of_equal_neurons():
    # ReLU: K s(z) with z of norm K beta sqrt(M) =: n, at cos t = 1/sqrt(M) with each teacher.
    students, teachers = 5, 3
    angle = np.arccos(1 / sqrt(teachers))
    kernel = (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)
    # n^2/2 - 2 n M kernel + M/2 + M (M - 1)/(2 pi): least at n = 2 M kernel.
    length = 2 * teachers * kernel
    beta = committee.symmetric_size("relu", students, teachers)
    assert beta == pytest.approx(length / students / sqrt(teachers), rel=1e-12)
    least = 0.5 * (teachers / 2 + teachers * (teachers - 1) / (2 * pi) - length**2 / 2)
    assert committee.plateau_error("relu", students, teachers) == pytest.approx(least, rel=1e-11)
    with pytest.raises(SpecError, match="'tanh' is not known; it is of erf, relu, quadratic"):
        committee.plateau_error("tanh", 2, 2)


def test_differences_grow_at_the_escape_rate():
    """Plain gradient descent from near the point, on a loss written out for two neurons."""

    def gradient(w: np.ndarray) -> np.ndarray:
        found = np.zeros_like(w)
        for k in range(2):
            for v, sign in ((w[0], 1), (w[1], 1), (np.eye(2)[0], -1), (np.eye(2)[1], -1)):
                uu, vv, uv = w[k] @ w[k], v @ v, w[k] @ v
                root = np.sqrt((1 + uu) * (1 + vv) - uv**2)
                found[k] += sign * 2 / pi * (v - uv / (1 + uu) * w[k]) / root
        return found

    eta, rate = 0.5, committee.escape_rate("erf", 2, 2)
    w = np.full((2, 2), 1 / sqrt(6)) + 1e-7 * np.array([[1, -1], [-1, 1]])
    sizes = []
    for _ in range(120):
        w = w - eta * gradient(w)
        sizes.append(w[0, 0] - w[1, 0])
    growth = sizes[-1] / sizes[-2]
    # Differences of 1e-5 grow linearly up to their square, roundings of 1e-16 aside.
    assert growth == pytest.approx(1 + eta * rate, rel=1e-6)
    slope = committee.plateau_slope("erf", 2, 2, eta)
    assert slope == pytest.approx(1 / (2 * log(growth)), rel=1e-4)


def test_differences_beyond_the_teacher_fall_as_a_power():
    """The square of what tells two neurons apart, after 2000 and 4000 steps: half of it."""
    w = np.full((2, 3), committee.symmetric_size("erf", 2, 2))
    w[:, 2] = 0.25, -0.25
    squares = []
    for _ in range(4000):
        w = w - 0.4 * committee._error_and_gradient("erf", w, 2)[1]
        squares.append(np.sum((w[0] - w[1]) ** 2))
    # The start is some 20 steps of it.
    assert squares[1999] / squares[3999] == pytest.approx(2, rel=0.03)


def test_the_averages_of_the_ode_are_those_of_samples():
    """Beside 10^6 Gaussian samples: five standard errors."""
    drawn = np.random.default_rng(0)
    factor = drawn.standard_normal((4, 4)) / 2
    c = factor @ factor.T
    x = factor @ drawn.standard_normal((4, 1_000_000))
    slopes = np.sqrt(2 / pi) * np.exp(-(x**2) / 2)
    table = np.vectorize(erf)(x[:, :200_000] / sqrt(2))
    three, four = online._three(c), online._four(c, 2)
    for i, j, k in ((0, 1, 2), (1, 3, 0)):
        found = (slopes[i] * x[j])[:200_000] * table[k]
        assert abs(found.mean() - three[i, j, k]) < 5 * found.std() / sqrt(found.size)
    for i, j, k, n in ((0, 1, 2, 3), (1, 1, 0, 2), (0, 1, 1, 1)):
        found = (slopes[i] * slopes[j])[:200_000] * table[k] * table[n]
        assert abs(found.mean() - four[i, j, k, n]) < 5 * found.std() / sqrt(found.size)


def test_the_ode_is_where_one_pass_goes_as_the_dimension_grows():
    """Plain one-pass descent in d dimensions, K = M = 2: mean squared deviations fall as 1/d."""
    eta, times = 0.5, np.arange(0, 21.0)
    deviations = []
    for d in (100, 1600):
        drawn = np.random.default_rng(1)
        v = np.eye(2, d)
        w = 0.5 / sqrt(d) * drawn.standard_normal((2, d))
        start = w @ w.T, w @ v.T
        seen = []
        for step in range(20 * d + 1):
            if step % d == 0:
                seen.append((w @ w.T, w @ v.T))
            x = drawn.standard_normal(d)
            z = w @ x
            off = sum(map(erf, z / sqrt(2))) - sum(map(erf, v @ x / sqrt(2)))
            w = w - eta / d * off * (sqrt(2 / pi) * np.exp(-(z**2) / 2))[:, None] * x
        q, r = online.online_overlaps(*start, np.eye(2), eta, times)
        apart = [np.concatenate([(a - b).ravel(), (e - f).ravel()])
                 for (a, e), b, f in zip(seen, q, r, strict=True)]  # fmt: skip
        deviations.append(np.sqrt(np.mean(np.square(apart))))
    assert deviations[1] < 0.02
    assert 2 < deviations[0] / deviations[1] < 8
    assert online.online_error(q[0], r[0], np.eye(2)) == pytest.approx(
        (np.arcsin(start[0] / np.sqrt(np.outer(*2 * [1 + np.diagonal(start[0])]))).sum()
         - 2 * np.arcsin(start[1] / np.sqrt(2 * (1 + np.diagonal(start[0]))[:, None])).sum()
         + 2 * asin(0.5)) / pi, rel=1e-12
    )  # fmt: skip


def _relu_error(w: np.ndarray) -> float:
    """Half of E (sum_k relu(w_k.x) - sum_m relu(x_m))^2, from the arc-cosine kernel."""
    both, signs = np.concatenate([w, np.eye(len(w))]), np.repeat([1, -1], len(w))
    total = 0.0
    for u, s in zip(both, signs, strict=True):
        for v, t in zip(both, signs, strict=True):
            norm = sqrt(u @ u) * sqrt(v @ v)
            angle = np.arccos(np.clip(u @ v / norm, -1, 1))
            total += s * t * norm * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (4 * pi)
    return total


@pytest.mark.parametrize(("size", "kind"), [(6, "minimum"), (5, "saddle")])
def test_a_student_with_one_neuron_away_is_at_a_minimum_from_six_on(size: int, kind: str):
    if kind == "saddle":
        with pytest.raises(SpecError, match="of 5 neurons has no such minimum; it needs 6"):
            committee.spurious_student(size)
    found = np.array(committee.spurious_student(size, least=5))
    if kind == "minimum":
        assert committee.spurious_error(size) == pytest.approx(_relu_error(found), rel=1e-10)
    # Central differences of the error: their slopes, and the curvature of them.
    step, flat = 1e-3, found.ravel()
    moves = step * np.eye(flat.size)

    def error(w: np.ndarray) -> float:
        return _relu_error(w.reshape(found.shape))

    at = error(flat)
    ahead, behind = ([error(flat + sign * move) for move in moves] for sign in (1, -1))
    assert np.max(np.abs(np.subtract(ahead, behind))) / (2 * step) < 1e-5
    curvature = np.diag((np.array(ahead) + behind - 2 * at) / step**2)
    for i in range(flat.size):
        for j in range(i):
            both = error(flat + moves[i] + moves[j]) - ahead[i] - ahead[j] + at
            curvature[i, j] = curvature[j, i] = both / step**2
    least = np.linalg.eigvalsh(curvature)[0]
    # 0.0047 and -0.0077, and differences of steps of a thousandth err by some 1e-3.
    assert least > 0.002 if kind == "minimum" else least < -0.004


@pytest.mark.parametrize(
    ("activation", "escapes"), [("relu", False), ("quadratic", False), ("erf", True)]
)
def test_what_fits_its_one_teacher_has_no_plateau(activation: str, escapes: bool):
    """Two equal neurons of half the output are the teacher, where outputs are homogeneous."""
    assert np.isfinite(committee.plateau_slope(activation, 2, 1, 0.1)) == escapes
