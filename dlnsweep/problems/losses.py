"""Losses of a matrix W (d, m): how well linear functions of it fit given numbers.

    l(W) = (s / p) sum_k |A(W)_k - y_k|^p

entries        A(W) = the observed entries of W                  (matrix completion)
measurements   A(W)_k = <A_k, W>                                 (matrix sensing)
samples        A(W) = W X, one number a sample and output        (regression)

The gradient is grad l(W) = s A*(|r|^(p-1) sign r) with r = A(W) - y and A* the adjoint of A. The
exponent p >= 1 is static, the factor s traced: 1 for half the sum of squares (p = 2), p/N for the
mean over N numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply

# A block of measurements is read from memory once and used twice, so it should fit in a core's
# second-level cache (1 MiB).
_BLOCK_BYTES = 800 * 1024


class Entries(NamedTuple):
    """Observed entries of a matrix.

    Attributes:
        mask: 1 where an entry is observed, else 0.
        targets: The observed values; 0 elsewhere.
    """

    mask: Float[Array, "d m"]
    targets: Float[Array, "d m"]

    def residual(self, matrix: Float[Array, "d m"]) -> Float[Array, "d m"]:
        """Return W - Y on the observed entries, 0 elsewhere."""
        return self.mask * matrix - self.targets

    def adjoint(self, signal: Float[Array, "d m"]) -> Float[Array, "d m"]:
        """Return the signal itself, which is 0 where nothing is observed."""
        return signal

    @property
    def number(self) -> Float[Array, ""]:
        """The number of observed entries."""
        return jnp.sum(self.mask)

    @property
    def norm(self) -> Float[Array, ""]:
        """||y||."""
        return jnp.linalg.norm(self.targets)


class Measurements(NamedTuple):
    """Inner products with given matrices.

    Attributes:
        operator: The matrices A_k, one a row, entries in row-major order.
        values: y_k.
    """

    operator: Float[Array, "N dm"]
    values: Float[Array, " N"]

    def residual(self, matrix: Float[Array, "d m"]) -> Float[Array, " N"]:
        """Return <A_k, W> - y_k."""
        return multiply(self.operator, matrix.reshape(-1)) - self.values

    def adjoint(self, signal: Float[Array, " N"]) -> Float[Array, " dm"]:
        """Return sum_k signal_k A_k, flat."""
        return multiply(signal, self.operator)

    @property
    def number(self) -> int:
        """N."""
        return self.values.shape[0]

    @property
    def norm(self) -> Float[Array, ""]:
        """||y||."""
        return jnp.linalg.norm(self.values)

    def streamed(
        self,
        matrix: Float[Array, "d m"],
        signal_of: Callable[[Float[Array, "..."]], Float[Array, "..."]],
    ) -> tuple[Float[Array, " dm"], Float[Array, " N"]]:
        """Return the adjoint of a signal made of the residual, and the residual, in one reading.

        Args:
            matrix: W.
            signal_of: Makes the signal from the residual, entry by entry.
        """
        flat = matrix.reshape(-1)
        rows = _BLOCK_BYTES // (self.operator.nbytes // self.number)
        rows = min(max(1, rows), self.number)

        def of_block(block: Any, values: Any) -> tuple[Any, Any]:
            residual = multiply(block, flat) - values
            return multiply(signal_of(residual), block), residual

        def add(i: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            total, residual = carry
            block = lax.dynamic_slice_in_dim(self.operator, i * rows, rows)
            values = lax.dynamic_slice_in_dim(self.values, i * rows, rows)
            part, own = of_block(block, values)
            return total + part, lax.dynamic_update_slice_in_dim(residual, own, i * rows, 0)

        full = self.number // rows
        start = jnp.zeros_like(flat), jnp.zeros_like(self.values)
        total, residual = lax.fori_loop(0, full, add, start)
        if full * rows < self.number:
            rest = slice(full * rows, None)
            part, own = of_block(self.operator[rest], self.values[rest])
            total, residual = total + part, residual.at[rest].set(own)
        return total, residual


class Samples(NamedTuple):
    """Samples of a linear map.

    Attributes:
        inputs: X.
        targets: Y.
    """

    inputs: Float[Array, "m n"]
    targets: Float[Array, "d n"]

    def residual(self, matrix: Float[Array, "d m"]) -> Float[Array, "d n"]:
        """Return W X - Y."""
        return multiply(matrix, self.inputs) - self.targets

    def adjoint(self, signal: Float[Array, "d n"]) -> Float[Array, "d m"]:
        """Return the signal times X^T."""
        return multiply(signal, self.inputs.T)

    @property
    def number(self) -> int:
        """The number of values that are fitted."""
        return self.targets.size

    @property
    def norm(self) -> Float[Array, ""]:
        """||Y||_F."""
        return jnp.linalg.norm(self.targets)


class Fit(NamedTuple):
    """A loss of a matrix; see the head of this module.

    Attributes:
        observed: A and y: `Entries`, `Measurements` or `Samples`.
        scale: s.
        target: The matrix that is to be found; None where there is none, or it is not known.
    """

    observed: Any
    scale: Float[Array, ""]
    target: Float[Array, "d m"] | None

    def loss(self, matrix: Float[Array, "d m"], power: float) -> Float[Array, ""]:
        """Return l(W)."""
        return self.loss_of(self.observed.residual(matrix), power)

    def loss_of(self, residual: Float[Array, "..."], power: float) -> Float[Array, ""]:
        """Return (s / p) sum_k |r_k|^p."""
        return self.scale / power * jnp.sum(_power(residual, power))

    def gradient_of(
        self, residual: Float[Array, "..."], power: float, shape: tuple[int, int]
    ) -> Float[Array, "d m"]:
        """Return grad l(W), of the given shape, from the residual of W."""
        return self.scale * self.observed.adjoint(_signal(residual, power)).reshape(shape)

    def gradient(
        self, matrix: Float[Array, "d m"], power: float, *, streamed: bool
    ) -> tuple[Float[Array, "d m"], Float[Array, "..."]]:
        """Return grad l(W) and the residual of W.

        Args:
            matrix: W.
            power: p.
            streamed: Whether to read a large operator once, as a CPU does it best.
        """
        if streamed and isinstance(self.observed, Measurements):
            pulled, residual = self.observed.streamed(matrix, lambda r: _signal(r, power))
            return self.scale * pulled.reshape(matrix.shape), residual
        residual = self.observed.residual(matrix)
        rows, columns = matrix.shape
        return self.gradient_of(residual, power, (rows, columns)), residual


def _signal(residual: Float[Array, "..."], power: float) -> Float[Array, "..."]:
    """Return |r|^(p-1) sign r."""
    return residual if power == 2 else jnp.sign(residual) * _power(residual, power - 1)


def _power(numbers: Float[Array, "..."], power: float) -> Float[Array, "..."]:
    """Return |numbers|^power, by products where the power is whole."""
    if power == 0:
        return jnp.ones_like(numbers)
    if power == int(power):
        return jnp.abs(numbers) ** int(power)
    return jnp.abs(numbers) ** power
