"""Products of matrices of entries, in the order that keeps a processor's adders busy.

A fused multiply-add takes four cycles and two begin in each, so eight sums must be under way at any
time; and what they multiply should be in registers. So the entries of the product are made in small
blocks, all sums of a block together, term after term.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter

# Rows and columns of a block: its sums and their factors fit into 16 registers.
_ROWS, _COLUMNS = 2, 4


def contract(emit: Emitter, left: np.ndarray, right: np.ndarray, dtype: Any) -> np.ndarray:
    """Return A B^T, each entry summed from the first term to the last, rounded once a term.

    Args:
        emit: What emits.
        left: A (p, k).
        right: B (q, k).
        dtype: The type of the numbers.
    """
    (p, inner), q = left.shape, len(right)
    found = np.empty((p, q), object)
    for top in range(0, p, _ROWS):
        for first in range(0, q, _COLUMNS):
            block = [
                (i, j)
                for i in range(top, min(p, top + _ROWS))
                for j in range(first, min(q, first + _COLUMNS))
            ]
            sums = dict.fromkeys(block, np.dtype(dtype).type(0))
            for k in range(inner):
                for i, j in block:
                    sums[i, j] = emit.fused(left[i, k], right[j, k], sums[i, j], dtype)
            for place, total in sums.items():
                found[place] = total
    return found
