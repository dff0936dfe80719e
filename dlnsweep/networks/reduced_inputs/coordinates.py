"""Samples, fresh samples and parameters in the coordinates of the samples' span.

See `network.py` for what Q, C, A, B, Q', C', R' and U are. All in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.contracts.network import Network
from dlnsweep.networks.generic.state import Samples
from dlnsweep.networks.reduced_inputs.network import replaced
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply


class Frame(NamedTuple):
    """Where the inputs of a run lie.

    Attributes:
        basis: Q, an orthonormal basis of a space that holds all training inputs.
        beyond: Q', of which what fresh inputs have off that space is made; None where there are
            none.
    """

    basis: Float[Array, "m r"]
    beyond: Float[Array, "m s"] | None = None


def reduce_inputs(
    inputs: Float[Array, "m n"], rank: int
) -> tuple[Float[Array, "m r"], Float[Array, "r n"]]:
    """Return Q and C.

    Args:
        inputs: Y.
        rank: r, static: the most that Y's rank can be, at most min(m, n).
    """
    if rank == inputs.shape[1]:
        # Whatever the rank is, the columns' span is in that of Q.
        return jnp.linalg.qr(inputs)
    basis = jnp.linalg.svd(inputs, full_matrices=False)[0][:, :rank]
    return basis, multiply(basis.T, inputs)


def reduce_fresh(
    basis: Float[Array, "m r"], fresh: Float[Array, "m k"]
) -> tuple[Float[Array, "m s"], Float[Array, "r+s k"]]:
    """Return Q' and [C'; R'] of fresh inputs, s = min(k, m - r)."""
    inner = multiply(basis.T, fresh)
    rest = fresh - multiply(basis, inner)
    # What rounding has left of the first part, which is as large as the rest where that is small.
    left = multiply(basis.T, rest)
    inner, rest = inner + left, rest - multiply(basis, left)
    size, rank = basis.shape
    if fresh.shape[1] <= size - rank:
        # Each is a column by itself: an orthonormal basis would take longer than all that uses it.
        beyond, outer = rest, jnp.eye(fresh.shape[1], dtype=fresh.dtype)
    else:
        beyond = jnp.linalg.qr(basis, mode="complete")[0][:, rank:]
        outer = multiply(beyond.T, rest)
    return beyond, jnp.concatenate([inner, outer])


def reduce_params(network: Network, params: Any, frame: Frame) -> dict[str, Any]:
    """Return the parameters of the network on the span, of those of the network itself."""
    off, beyond = [], []

    def inside(number: int, leaf: Any, axis: int) -> Any:
        del number
        rows = jnp.moveaxis(leaf, axis, -1)
        inner = multiply(rows, frame.basis)
        rest = rows - multiply(inner, frame.basis.T)
        norm = jnp.linalg.norm(rest)
        off.append(norm)
        if frame.beyond is not None:
            # A weight that has nothing off the span has nothing of any direction there.
            share = multiply(rest, frame.beyond) / jnp.where(norm > 0, norm, 1.0)
            beyond.append(jnp.moveaxis(share, -1, axis))
        return jnp.moveaxis(inner, -1, axis)

    own = replaced(network, params, inside)
    count = jnp.asarray(frame.basis.shape[0], jnp.float64)
    return {"network": own, "off": tuple(off), "beyond": tuple(beyond), "inputs": count}


def reduce_test(
    test: TestSamples, basis: Float[Array, "m r"], *, noisy: bool
) -> tuple[Float[Array, "m s"], TestSamples]:
    """Return Q' and fresh samples by their coordinates.

    Args:
        test: The fresh samples.
        basis: Q.
        noisy: Whether their noise is needed; else it is zero.
    """
    count = test.measurements.shape[1]
    fresh = [test.measurements, *([test.unit_noise] if noisy else [])]
    beyond, found = reduce_fresh(basis, jnp.concatenate(fresh, axis=1))
    inputs = found[:, :count]
    unit = found[:, count:] if noisy else jnp.zeros_like(inputs)
    # The noise is the unit noise at some size, which may be zero.
    sizes = jnp.linalg.norm(test.unit_noise), jnp.linalg.norm(test.noise)
    return beyond, test._replace(
        measurements=inputs, unit_noise=unit, noise=unit * (sizes[1] / sizes[0])
    )


def lifted(network: Network, params: dict[str, Any], frame: Frame, off: list[Any]) -> Any:
    """Return parameters of the network itself, of those of the network on the span.

    Args:
        network: The network itself.
        params: The parameters of that on the span.
        frame: The frame.
        off: B(0) / ||B(0)||_F of each leaf that meets inputs, with the axis of the inputs last.
    """

    def whole(number: int, leaf: Any, axis: int) -> Any:
        rows = multiply(jnp.moveaxis(leaf, axis, -1), frame.basis.T)
        return jnp.moveaxis(rows + params["off"][number] * off[number], -1, axis)

    return replaced(network, params["network"], whole)


def reduced_samples(samples: Samples, rank: int) -> tuple[Float[Array, "m r"], Samples]:
    """Return Q, and the samples with C in the place of Y."""
    basis, inside = reduce_inputs(samples.inputs, rank)
    return basis, samples._replace(inputs=inside)
