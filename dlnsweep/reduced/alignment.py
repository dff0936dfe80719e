"""Bases of two kinds turned towards each other, so that one is seen in the other by numbers alone.

A chain's activations and signals of a layer have bases F_j and B_j, which meet in G_j = F_j^T B_j
(`chain.py`). Its singular vectors turn both: with G_j = U S V^T the bases F_j U and B_j V span the
same spaces and meet in the diagonal S, so that a product with G_j costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlnsweep.reduced.chain import Matrix


def aligned(
    inner: Sequence[Matrix], outer: Sequence[Matrix], mixed: Sequence[Matrix]
) -> tuple[list[Matrix], list[Matrix]]:
    """Return F_0, ..., F_{L-1} and B_1, ..., B_L turned so that every G_j is diagonal.

    Args:
        inner: F_0, ..., F_{L-1}, as columns of coordinates; the first stays.
        outer: B_1, ..., B_L; the last stays.
        mixed: What the coordinates' own bases meet in, of j = 1, ..., L - 1.
    """
    inner, outer = list(inner), list(outer)
    for j, own in enumerate(mixed):
        overlap = inner[j + 1].T @ own @ outer[j]
        # Complete bases are so already, and large.
        if np.count_nonzero(overlap) > np.count_nonzero(np.diagonal(overlap)):
            left, _, right = np.linalg.svd(overlap)
            inner[j + 1], outer[j] = inner[j + 1] @ left, outer[j] @ right.T
    return inner, outer
