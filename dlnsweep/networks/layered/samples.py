"""The samples of a run as the kernels take them, reduced to the rank of the measurements."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply

# Singular values of measurements below this share of the largest one count as zero: rounding of a
# singular value decomposition stays below it, and nothing that a problem draws comes near it but
# for noise of such a size.
RANK_CUTOFF = 1e-12
# What counts as zero is no less than this share of the largest, so that it can be divided by. That
# is far below rounding.
_LEAST_SHARE = 1e-30


class Reduced(NamedTuple):
    """Signals X and measurements Y reduced to the rank r of Y, with Y = U diag(S) V^T (thin).

    Gradient descent on half the squared error sees the data only through X Y^T and Y Y^T, so
    inputs diag(S) and targets X V in the basis U give the same trajectory (Claim 1 of
    arXiv:2502.15522).

    Attributes:
        inputs: S, the singular values of Y.
        targets: X V.
        range_basis: U, an orthonormal basis of range(Y).
        off_basis: An orthonormal basis of the orthogonal complement of range(Y).
        residual: ||X - X V V^T||_F^2, the part of the squared error that no network can change.
        signal_norm: ||X||_F.
        off_directions: What lies off the subspace, as columns in the basis [U, off_basis],
            orthonormal but for columns of zeros; None where that is `off_basis`.
    """

    inputs: Float[Array, " r"]
    targets: Float[Array, "d r"]
    range_basis: Float[Array, "m r"]
    off_basis: Float[Array, "m off"]
    residual: Float[Array, ""]
    signal_norm: Float[Array, ""]
    off_directions: Float[Array, "m k"] | None = None


def reduce_samples(
    signals: Float[Array, "d n"],
    measurements: Float[Array, "m n"],
    rank: int,
    *,
    certain: bool = True,
    clean: Float[Array, "m k"] | None = None,
) -> Reduced:
    """Reduce the samples to `rank`, the rank of `measurements`.

    Args:
        signals: X.
        measurements: Y.
        rank: The rank r of Y, static. Singular values beyond it are taken as zero.
        certain: Whether Y has that rank; else the largest that it can have, and directions with
            singular values of (nearly) zero count as off the subspace.
        clean: Measurements whose range is the subspace's, if that of Y is not.
    """
    left, values, rows = jnp.linalg.svd(measurements, full_matrices=False)
    basis, columns = left[:, :rank], rows[:rank].T
    if left.shape[0] == left.shape[1]:
        off_basis = left[:, rank:]
    else:
        off_basis = jnp.linalg.qr(basis, mode="complete")[0][:, rank:]
    targets = multiply(signals, columns)
    # The difference itself, not a difference of squares: it is often exactly representable noise.
    left_over = signals - multiply(targets, columns.T)
    inputs, off_directions = values[:rank], None
    if clean is not None:
        whole = jnp.concatenate([basis, off_basis], axis=1)
        off_directions = multiply(whole.T, complement(clean))
    elif not certain:
        zero = inputs <= RANK_CUTOFF * inputs[0]
        beyond = jnp.ones(off_basis.shape[1], bool)
        off_directions = jnp.diag(jnp.concatenate([zero, beyond]).astype(values.dtype))
    if off_directions is not None:
        inputs = jnp.maximum(inputs, _LEAST_SHARE * inputs[0])
    # An input that is zero in all samples is so exactly, which the decomposition rounds.
    silent = ~jnp.any(measurements != 0, axis=1, keepdims=True)
    basis = jnp.where(silent & (inputs > RANK_CUTOFF * inputs[0]), 0.0, basis)
    return Reduced(
        inputs=inputs,
        targets=targets,
        range_basis=basis,
        off_basis=off_basis,
        residual=jnp.sum(left_over**2),
        signal_norm=jnp.linalg.norm(signals),
        off_directions=off_directions,
    )


def reduced_measurements(data: Reduced) -> Float[Array, "m r"]:
    """Return U diag(S); rows of zeros where an input is zero in all samples.

    A step by signs, or one divided by the gradient's own size, makes a whole step of a gradient
    that only rounding keeps from being zero.
    """
    seen = data.inputs > RANK_CUTOFF * data.inputs[0]
    heard = jnp.any(seen & (data.range_basis != 0), axis=1, keepdims=True)
    return jnp.where(heard, data.range_basis * data.inputs, 0.0)


def row_basis(
    measurements: Float[Array, "m n"],
    inputs: Float[Array, " r"],
    range_basis: Float[Array, "m r"],
) -> Float[Array, "n r"]:
    """Return V of Y = U diag(S) V^T; zeros in the columns whose S counts as zero.

    Args:
        measurements: Y.
        inputs: S.
        range_basis: U.
    """
    seen = inputs > RANK_CUTOFF * inputs[0]
    columns = multiply(measurements.T, range_basis) / jnp.where(seen, inputs, 1.0)
    return jnp.where(seen, columns, 0.0)


def complement(matrix: Float[Array, "m n"]) -> Float[Array, "m m"]:
    """Return an orthonormal basis of the complement of a matrix's range, and columns of zeros.

    There are as many of these as the matrix has rank, which its numbers decide; see RANK_CUTOFF.
    """
    left, values, _ = jnp.linalg.svd(matrix, full_matrices=False)
    size, known = left.shape
    if known < size:
        left = jnp.linalg.qr(left, mode="complete")[0]
    off = jnp.concatenate([values <= RANK_CUTOFF * values[0], jnp.ones(size - known, bool)])
    return left * off
