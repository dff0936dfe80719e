"""The largest eigenvalue of a step of gradient descent on the residuals.

The residual changes by -sum_i eta_i c W_{L:i+1} W_{L:i+1}^T Phi f_{i-1}^T f_{i-1} a step (to the
first order); a step is stable where this operator stays below 2. It is symmetric and positive, a
sum of Kronecker products, of which each layer has a matrix as large as the outputs. Here none is
made: rows go down through the layers and up again, as thin as there are samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.layers import Matrix


def first_mode(rank: int, outputs: int) -> Matrix:
    """Return rows to begin with: fixed numbers of both signs, so that no direction is left out."""
    rows = np.sin(1.0 + 2.0 * np.arange(rank * outputs).reshape(outputs, rank)).T
    return rows / np.linalg.norm(rows)


def largest(
    rates: Float[np.ndarray, " L"],
    values: Sequence[Matrix],
    backs: Sequence[Matrix],
    mode: Matrix,
    times: int,
) -> tuple[float, Matrix]:
    """Return the largest eigenvalue and its vector by so many power iterations.

    Args:
        rates: eta_i c.
        values: f_0, ..., f_{L-1}.
        backs: B_i^T W_i B_{i-1} of the second to the last layer.
        mode: What to begin with, as rows.
        times: How many.
    """
    squares = [rate * (f.T @ f) for rate, f in zip(rates, values, strict=True)]
    value = 0.0
    for _ in range(times):
        below = [mode]
        for back in reversed(backs):
            below.append(below[-1] @ back)
        image = squares[0] @ below.pop()
        for square, back in zip(squares[1:], backs, strict=True):
            image = image @ back.T + square @ below.pop()
        value = float(np.sqrt(np.vdot(image, image)))
        mode = image / (value or 1.0)
    return value, mode
