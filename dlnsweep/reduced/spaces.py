"""The spaces of what a run has visited, in order of importance: weighted singular vectors."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.chain import Matrix, padded
from dlnsweep.reduced.path import Sample

# How much a change of an activation counts beside the largest activation, and how much a signal
# counts at least beside the largest one. Chosen on three networks of depth 3 and 4: without either
# share the bases that met 1e-4 took up to 1.8 times the arithmetic, never less than 0.98 times.
CHANGE_SHARE = 0.03
_SIGNAL_SHARE = 0.003


def principal(blocks: list[Matrix]) -> tuple[Matrix, Float[np.ndarray, " k"]]:
    """Return the principal directions of all columns together, and their singular values."""
    stacked = np.hstack(blocks)
    if stacked.shape[1] > stacked.shape[0]:
        stacked = np.asarray(np.linalg.qr(stacked.T, mode="r")).T
    left, values, _ = np.linalg.svd(stacked, full_matrices=False)
    return left, values


def everything(basis: Matrix) -> tuple[Matrix, Float[np.ndarray, " k"]]:
    """Return the space of a whole basis."""
    return np.eye(basis.shape[1]), np.ones(basis.shape[1])


def with_targets(
    targets: Matrix, left: Matrix, values: Float[np.ndarray, " k"]
) -> tuple[Matrix, Float[np.ndarray, " with_targets"]]:
    """Return the residual's space with the range of the targets before all else.

    What is left out of the targets would never be learned, however small the residual becomes.
    There are at most as many values more as the targets have directions.
    """
    own, sizes, _ = np.linalg.svd(targets, full_matrices=False)
    own = own[:, sizes > sizes[0] * 1e-14]
    rest, less = principal([(left - own @ (own.T @ left)) * values])
    kept = len(left) - own.shape[1]
    rest = np.linalg.qr(np.hstack([own, rest[:, :kept]]))[0]
    return rest, np.concatenate([np.full(own.shape[1], np.inf), less[:kept]])


def forward_space(
    samples: list[Sample], j: int, size: int, most: float
) -> tuple[Matrix, np.ndarray]:
    """Return the space of the activations f_{j+1}, which count for at most `most`, and of changes.

    An activation that is slightly wrong but constant does no harm, gradient descent makes up for
    it; a change that is missing acts on a residual which may be small by then. So each change
    counts beside the activations, relative to its own size.
    """
    blocks = [padded(s.activations[j], size, s.activations[j].shape[1]) for s in samples]
    largest = min(max(float(np.linalg.norm(block)) for block in blocks), most)
    scaled = [block / (largest or 1.0) for block in blocks]
    for before, after in itertools.pairwise(blocks):
        length = float(np.linalg.norm(after - before))
        if length > 0:
            scaled.append(CHANGE_SHARE / length * (after - before))
    return principal(scaled)


def backward_space(samples: list[Sample], j: int, size: int) -> tuple[Matrix, np.ndarray]:
    """Return the space of the signals b_{j+1}.

    A signal counts by the root of the number of steps that it acts for, and not below a small
    share of the largest one, however small it has become: the residual it belongs to shall be
    right relative to itself.
    """
    lengths = np.array([np.linalg.norm(s.signals[j]) for s in samples])
    weights = np.array([s.weight for s in samples])
    factors = weights / (np.max(weights * lengths) or 1.0)
    with np.errstate(divide="ignore"):
        factors = np.where(lengths > 0, np.maximum(factors, _SIGNAL_SHARE / lengths), 0.0)
    return principal(
        [
            factor * padded(s.signals[j], size, s.signals[j].shape[1])
            for factor, s in zip(factors, samples, strict=True)
        ]
    )


def gain(matrix: Matrix) -> float:
    """Return the largest singular value, infinite where not all is finite.

    From the squares, in half the time: to the largest one they do no harm.
    """
    size = float(np.max(np.abs(matrix), initial=0.0))
    if not 0 < size < np.inf:
        # LAPACK raises for what is not finite, which a truncation that is too coarse becomes.
        return 0.0 if size == 0 else np.inf
    scaled = matrix / size
    if scaled.shape[0] < scaled.shape[1]:
        scaled = scaled.T
    return size * float(np.sqrt(np.linalg.eigvalsh(scaled.T @ scaled)[-1]))
