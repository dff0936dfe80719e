"""Random problem instances for the tests, drawn with NumPy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Instance:
    """Initial weights, signals X and measurements Y."""

    weights: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray


def draw(
    dims: tuple[int, ...],
    subspace_dim: int,
    num_samples: int,
    seed: int,
    condition_number: float = 1.0,
    noise: float = 0.2,
) -> Instance:
    """Draw an instance with layer sizes `dims` = (m, ..., d).

    Y has rank min(s, n) and condition number `condition_number`. Noise on X alone puts it outside
    the row space of Y (for n > s), so the regression error stays away from zero.
    """
    rng = np.random.default_rng(seed)
    m, d, s, n = dims[0], dims[-1], subspace_dim, num_samples
    r = min(s, n)
    frame, _ = np.linalg.qr(rng.normal(size=(m, r)))
    rows, _ = np.linalg.qr(rng.normal(size=(n, r)))
    y = frame @ np.diag(np.linspace(1.0, 1.0 / condition_number, r)) @ rows.T
    x = rng.normal(size=(d, m)) @ y / np.sqrt(m) + noise * rng.normal(size=(d, n)) / np.sqrt(n * d)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(dims)]
    return Instance(weights, x, y)
