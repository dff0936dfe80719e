"""What steps along the flow of a chain begin with (`chain.py`), before layers are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

Matrix = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class Layers:
    """A chain at the beginning of some steps.

    Attributes:
        inputs: S.
        targets: X V, in the basis of the output layer.
        forward: A_1, ..., A_L.
        mixed: G_1, ..., G_{L-1}.
        backward: N_1(0), ..., N_L(0), of which the first is not read.
        corrections: D_1, ..., D_L.
        scales: c_j.
    """

    inputs: Float[np.ndarray, " r"]
    targets: Matrix
    forward: Sequence[Matrix]
    mixed: Sequence[Matrix]
    backward: Sequence[Matrix]
    corrections: Sequence[Matrix]
    scales: Float[np.ndarray, " L"]

    @property
    def inner(self) -> list[int]:
        """How many columns F_0, ..., F_{L-1} have."""
        return [d.shape[1] for d in self.corrections]

    @property
    def outer(self) -> list[int]:
        """How many columns B_1, ..., B_L have."""
        return [d.shape[0] for d in self.corrections]

    @property
    def above(self) -> list[int]:
        """How many numbers f_1, ..., f_L have."""
        return [*self.inner[1:], self.outer[-1]]

    @property
    def below(self) -> list[int]:
        """How many numbers b_0, ..., b_{L-1} have; the first is not made."""
        return [0, *self.outer[:-1]]

    def straight(self, j: int) -> Matrix:
        """Return the transpose of c_j A_j + G_j D_j, of which f_j is made; j is counted from 0."""
        change = self.corrections[j].T
        if j < len(self.mixed):
            change = _times(change, self.mixed[j].T)
        return change + self.scales[j] * self.forward[j].T

    @cached_property
    def backs(self) -> list[Matrix]:
        """c_j N_j + D_j G_{j-1} of all but the first layer, of which b_{j-1} is made."""
        return [
            _times(change, mixed) + scale * back
            for change, mixed, scale, back in zip(
                self.corrections[1:], self.mixed, self.scales[1:], self.backward[1:], strict=True
            )
        ]


def _times(matrix: Matrix, mixed: Matrix) -> Matrix:
    shared = diagonal_of(mixed)
    if shared is None:
        return matrix @ mixed
    made = np.zeros((len(matrix), mixed.shape[1]))
    np.multiply(matrix[:, : len(shared)], shared, out=made[:, : len(shared)])
    return made


def diagonal_of(matrix: Matrix) -> Float[np.ndarray, " k"] | None:
    """Return the diagonal of a matrix that is nothing beside it; None for others."""
    diagonal = np.diagonal(matrix)
    return diagonal if np.count_nonzero(matrix) == np.count_nonzero(diagonal) else None
