"""A network at step 0, as the search for its bases takes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.chain import Descent, Matrix
from dlnsweep.simd.llvm import is_usable


@dataclass(frozen=True)
class Network:
    """One network at step 0, with the reduced samples.

    Attributes:
        first: W_1 U, the first layer on range(Y).
        first_off: W_1 V_perp, the first layer off range(Y).
        rest: W_2, ..., W_L.
        squared_norms: ||W_i||_F^2; of the first layer that of its part on range(Y).
        descent: The numbers of the run; its targets are X V.
        off_directions: See `samples.Reduced`.
        compiled: Whether machine code of LLVM's finds its bases: where LLVM is there, by default.
    """

    first: Matrix
    first_off: Matrix
    rest: tuple[Matrix, ...]
    squared_norms: Float[np.ndarray, " L"]
    descent: Descent
    off_directions: Matrix | None = None
    compiled: bool = field(default_factory=is_usable)

    @property
    def depth(self) -> int:
        """L."""
        return len(self.rest) + 1

    @property
    def step_flops(self) -> int:
        """Floating-point operations of a step of gradient descent on the weights themselves."""
        rank = self.first.shape[1]
        return 6 * rank * sum(matrix.size for matrix in (self.first, *self.rest))

    def leading(self, sizes: tuple[int, ...]) -> Network:
        """Return the network of the leading `sizes` neurons of each hidden layer, others zero."""
        bounds = [*sizes, self.rest[-1].shape[0]]

        def kept(matrix: Matrix, rows: int, columns: int) -> Matrix:
            result = np.zeros_like(matrix)
            result[:rows, :columns] = matrix[:rows, :columns]
            return result

        return replace(
            self,
            first=kept(self.first, bounds[0], self.first.shape[1]),
            first_off=kept(self.first_off, bounds[0], self.first_off.shape[1]),
            rest=tuple(kept(w, bounds[j + 1], bounds[j]) for j, w in enumerate(self.rest)),
        )
