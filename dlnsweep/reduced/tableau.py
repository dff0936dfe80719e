"""Explicit Runge-Kutta methods as tables: what each stage adds up.

Stage k of a step of length h from y evaluates v_k = v(y + h sum_{i < k} a_ki v_i); the last row of
the table gives where the step ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

# Damping of the Chebyshev stages, as in the cited article.
_DAMPING = 2 / 13
# Of more stages no table is made: it has the square of their number of entries, and what a step
# keeps of its stages is read at each of them. Steps of runs beyond some million steps have more.
MOST_TABLED = 256


@dataclass(frozen=True, eq=False)
class Tableau:
    """An explicit method of s stages.

    Attributes:
        weights: a_ki; the last row is the end of the step.
    """

    weights: Float[np.ndarray, "s_1 s"]

    @property
    def stages(self) -> int:
        """How many times the velocity is evaluated."""
        return self.weights.shape[1]


# A rehearsal takes the steps of the one before it.
@lru_cache(maxsize=64)
def decaying(
    tableau: Tableau, length: float, loss: float
) -> tuple[Float[np.ndarray, " s_1"], Float[np.ndarray, "s_1 s"]]:
    """Return what a step makes of y' = v - loss y: r and w in y_k = r_k y + sum_i w_ki v_i.

    The stages are the method's own, y_k = y + h sum_i a_ki (v_i - loss y_i), solved for y_k.

    Args:
        tableau: The method.
        length: h.
        loss: The rate of decay.
    """
    count = len(tableau.weights)
    steps = length * np.hstack([tableau.weights, np.zeros((count, 1))])
    solved = np.linalg.solve(np.eye(count) + loss * steps, np.hstack([np.ones((count, 1)), steps]))
    return solved[:, 0], solved[:, 1:-1]


@lru_cache(maxsize=64)
def euler(steps: int) -> Tableau:
    """Return so many steps of Euler's method as one; h is the length of each."""
    return Tableau(np.tril(np.ones((steps + 1, steps)), -1))


@lru_cache(maxsize=64)
def recurrence(stages: int) -> tuple[float, float, list[float], list[float]]:
    """Return w_0, w_1, T_j(w_0) and b_j of the second-order Runge-Kutta-Chebyshev method.

    It is stable for steps longer by about the square of the number of stages, two at least
    (Sommeijer, Shampine, Verwer 1998, equations 2.1 to 2.6).
    """
    w0 = 1 + _DAMPING / stages**2
    t, dt, ddt = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, stages + 1):
        ddt.append(4 * dt[-1] + 2 * w0 * ddt[-1] - ddt[-2])
        dt.append(2 * t[-1] + 2 * w0 * dt[-1] - dt[-2])
        t.append(2 * w0 * t[-1] - t[-2])
    b = [ddt[j] / dt[j] ** 2 if j > 1 else 0.0 for j in range(stages + 1)]
    b[0] = b[1] = b[2]
    return w0, dt[stages] / ddt[stages], t, b


@lru_cache(maxsize=64)
def chebyshev(stages: int) -> Tableau:
    """Return a step of the method of `recurrence`, which is applied to the rows of the table."""
    w0, w1, t, b = recurrence(stages)
    weights = np.zeros((stages + 1, stages))
    weights[1, 0] = b[1] * w1
    for j in range(2, stages + 1):
        rate = 2 * w1 * b[j] / b[j - 1]
        weights[j] = 2 * w0 * b[j] / b[j - 1] * weights[j - 1] - b[j] / b[j - 2] * weights[j - 2]
        weights[j, j - 1] += rate
        weights[j, 0] += (b[j - 1] * t[j - 1] - 1) * rate
    return Tableau(weights)


def stages_for(stiffness: float) -> int:
    """Return how many stages a step needs whose largest eigenvalue is `stiffness`."""
    # Half more than the linear part needs: the residual's own curvature is left out there.
    limit = 2 / 3 * (1 - 2 / 15 * _DAMPING)
    return max(2, int(np.ceil(np.sqrt(1.5 * stiffness / limit + 1))))
