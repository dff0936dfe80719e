"""The end-to-end matrix off range(Y), from what a pilot has pushed through the later layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.chain import Matrix
from dlnsweep.reduced.pilot import Pilot


@dataclass(frozen=True)
class OffRange:
    """Fixed blocks that give W_{L:1}(t) V_perp from the corrections, without large matrices.

    With Z = W_1(0) V_perp and y_i = D_i F_{i-1}^T z_{i-1},

        F_j^T z_j = c_j...c_1 F_j^T W_j...W_2 Z
                    + sum_{i=2..j} c_j...c_{i+1} F_j^T W_j...W_{i+1} B_i y_i

    where the W are those at step 0; for j = L the factor F_j^T is left out.

    Attributes:
        start: F_j^T W_j...W_2 Z for j = 1, ..., L.
        blocks: For j = 1, ..., L those of i = 2, ..., j.
    """

    start: list[Matrix]
    blocks: list[list[Matrix]]

    def product(self, corrections: list[Matrix], scales: Float[np.ndarray, " L"]) -> Matrix:
        """Return W_{L:1}(t) V_perp."""
        inputs: list[Matrix] = []
        value = scales[0] * self.start[0]
        for j in range(1, len(self.start)):
            inputs.append(corrections[j] @ value)
            value = np.prod(scales[: j + 1]) * self.start[j]
            for i, vector in enumerate(inputs, start=1):
                value = value + np.prod(scales[i + 1 : j + 1]) * (self.blocks[j][i - 1] @ vector)
        return value


def off_range_blocks(pilot: Pilot) -> OffRange:
    """Push Z and every B_i through the later layers."""
    depth = pilot.network.depth
    pushed = [pilot.network.first_off]
    start, blocks = [], []
    for j in range(depth):
        if j:
            pushed = [pilot.weights[j] @ block for block in pushed]
            pushed.append(pilot.backward_bases[j])
        left = pilot.forward_bases[j].T if j < depth - 1 else None
        seen = [block if left is None else left @ block for block in pushed]
        start.append(seen[0])
        blocks.append(seen[1:])
    return OffRange(start, blocks)
