"""The largest margin against all sets of support vectors; its law against normalised descent."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlnsweep.errors import SpecError
from dlnsweep.theory.max_margin import largest_normalized_margin, margin_rate, max_margin


def separable(seed: int, inputs: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    normal = random.standard_normal(inputs)
    normal /= np.linalg.norm(normal)
    drawn = random.standard_normal((inputs, samples))
    labels = np.sign(normal @ drawn)
    return drawn + 0.2 * normal[:, None] * labels, labels


def by_enumeration(inputs: np.ndarray, labels: np.ndarray) -> float:
    """Return 1 over the least ||w|| with all x_i w . y_i >= 1, from all sets of equalities."""
    points, norms = (inputs * labels).T, []
    for count in range(1, inputs.shape[0] + 1):
        for chosen in itertools.combinations(range(len(points)), count):
            w = np.linalg.pinv(points[list(chosen)]) @ np.ones(count)
            if np.all(points @ w >= 1 - 1e-9):
                norms.append(np.linalg.norm(w))
    return float(1 / min(norms))


@pytest.mark.parametrize("seed", range(6))
def test_no_set_of_support_vectors_has_a_larger_margin(seed: int):
    inputs, labels = separable(seed, 3, 12)
    found = max_margin(inputs, labels)
    # Rounding of sums of a few terms.
    assert found.margin == pytest.approx(by_enumeration(inputs, labels), rel=1e-11)
    assert -1e-12 < found.gap < 1e-11
    assert np.linalg.norm(found.direction) == pytest.approx(1, rel=1e-14)
    assert np.sum(found.weights) == pytest.approx(1, rel=1e-13)
    assert np.min(found.weights) == 0
    assert 1 <= np.count_nonzero(found.weights) <= 3


def test_larger_data_certify_themselves():
    for seed in range(3):
        inputs, labels = separable(seed, 20, 300)
        assert max_margin(inputs, labels).gap < 1e-10
    # Points that come twice, and one that is the answer.
    inputs = np.array([[1.0, 1.0, 1.0, 2.0], [0.5, 0.5, -0.5, 0.0]])
    found = max_margin(inputs, np.ones(4))
    assert found.margin == 1.0
    assert max_margin(np.array([[0.0, 3.0], [2.0, 4.0]]), np.ones(2)).margin == 2.0


def test_what_no_hyperplane_separates_is_refused():
    sentence = r"^max_margin: no hyperplane through 0 separates the samples; their labels' signs "
    with pytest.raises(SpecError, match=sentence):
        max_margin(np.array([[1.0, -1.0], [0.0, 0.0]]), np.ones(2))
    with pytest.raises(SpecError, match=sentence):
        max_margin(np.random.default_rng(0).standard_normal((3, 60)), np.ones(60))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_gap_of_normalised_descent_is_k_over_the_norm(depth: int):
    """Steps of fixed length on exp(-margin), in the weights of the last layer of rank one.

    With depth 2 the network is a_0 w . y: its gradient is that in beta, times w and a_0. The three
    support vectors span all directions: nothing of the start is left.
    """
    inputs, labels = separable(3, 3, 12)
    points = (inputs * labels).T
    found = max_margin(inputs, labels)
    assert np.count_nonzero(found.weights) == 3
    w, a = np.array([0.1, -0.2, 0.3]), 0.4
    for _ in range(20_000):
        margins = points @ (a * w if depth == 2 else w)
        shares = np.exp(np.min(margins) - margins)
        along = (shares / np.sum(shares)) @ points
        if depth == 1:
            w = w + 0.01 * along / np.linalg.norm(along)
        else:
            moves = a * along, w @ along
            size = np.sqrt(moves[0] @ moves[0] + moves[1] ** 2)
            w, a = w + 1e-3 * moves[0] / size, a + 1e-3 * moves[1] / size
    beta = a * w if depth == 2 else w
    size = float(found.margin * np.linalg.norm(beta))
    gap = 1 - np.min(points @ beta) / size
    # What is left out is of the order of 1 / size.
    assert size > 40
    assert gap * size == pytest.approx(margin_rate(found.weights), rel=3 / size)


def test_deep_linear_layers_have_the_margin_of_balanced_ones():
    """Of layers with one product none are smaller than L ||beta||^(2/L)."""
    beta, points = np.array([3.0, 4.0]), np.array([[1.0, 0.5], [0.2, 1.0]])
    margin = np.min(points @ beta)
    unit, root = beta / 5, 5 ** (1 / 3)
    for factor in (1.0, 1.3):
        layers = [factor * root * unit[None], np.array([[root / factor]]), np.array([[root]])]
        assert np.allclose(layers[2] @ layers[1] @ layers[0], beta)
        own = margin / np.sqrt(sum(np.sum(w**2) for w in layers)) ** 3
        best = largest_normalized_margin(3, margin / 5)
        assert own == pytest.approx(best, rel=1e-14) if factor == 1 else own < 0.99 * best
