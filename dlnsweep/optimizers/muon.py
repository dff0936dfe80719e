"""Muon: momentum of a matrix, with all its singular values brought near one.

With G the gradient of a matrix W (p, q) that acts from the left, M(0) = 0 and t = 1, 2, ...

    M(t) = beta M(t-1) + (1 - beta) G(t)
    N(t) = beta M(t) / (1 - beta^(t+1)) + (1 - beta) G(t) / (1 - beta^t)
    X_0 = N(t) / (||N(t)||_F + eps),    X_{k+1} = (a + b X_k X_k^T + c (X_k X_k^T)^2) X_k
    direction(t) = sqrt(max(1, p / q)) X_5

(Jordan et al. 2024, github.com/KellerJordan/Muon; the biases of the averages are taken off as in
optax.contrib.muon, to which the matrices of this package are transposed). Five steps with these
a, b, c take each singular value of X_0 that is not tiny into about [0.7, 1.2].

A singular value that is zero but for rounding grows by a^5 = 485 times: on data of low rank, whose
gradients have such values, two computations that differ by rounding go apart after some hundred
steps (a relative 1e-14 had become 1e-7 after 250 steps of three layers in plain NumPy).

What is no matrix, as biases are, moves by Nadam, also as in optax.contrib.muon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.numerics.lazy import jax, jnp, optax

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int
    from optax import GradientTransformation

# Jordan et al. 2024: a, b and c, and how many steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class MuonState(NamedTuple):
    """The state of `scale_by_muon`.

    Attributes:
        steps: Steps taken.
        average: M of each matrix; of what is none a number that nothing reads.
        others: Nadam's state, of all leaves.
    """

    steps: Int[Array, ""]
    average: Any
    others: Any


def orthogonalized(matrix: Float[Array, "p q"], epsilon: Any) -> Float[Array, "p q"]:
    """Return a matrix with the same singular vectors, its singular values near one."""
    from dlnsweep.numerics.products import multiply

    tall = matrix.shape[0] > matrix.shape[1]
    # The product of the two that has fewer rows.
    found = matrix.T if tall else matrix
    found = found / (jnp.linalg.norm(found) + epsilon)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        square = multiply(found, found.T)
        found = a * found + multiply(b * square + c * multiply(square, square), found)
    return found.T if tall else found


def scale_by_muon(
    decay: Any, epsilon: Any, others: GradientTransformation
) -> GradientTransformation:
    """Return the direction at the head of this file.

    Args:
        decay: beta in [0, 1).
        epsilon: eps > 0.
        others: What moves that is no matrix.
    """

    def init(params: Any) -> Any:
        average = jax.tree.map(lambda p: jnp.zeros(p.shape if p.ndim == 2 else (), p.dtype), params)
        return MuonState(jnp.zeros((), jnp.int32), average, others.init(params))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        plain, after = others.update(updates, state.others, params)
        steps: Any = optax.safe_increment(state.steps)

        def kept(gradient: Any, average: Any) -> Any:
            if gradient.ndim != 2:
                return average
            return decay * average + (1 - decay) * gradient

        def direction(gradient: Any, average: Any, other: Any) -> Any:
            if gradient.ndim != 2:
                return other
            now = steps.astype(gradient.dtype)
            ahead = decay * average / (1 - decay ** (now + 1))
            ahead = ahead + (1 - decay) * gradient / (1 - decay**now)
            rows, columns = gradient.shape
            return max(1.0, rows / columns) ** 0.5 * orthogonalized(ahead, epsilon)

        average = jax.tree.map(kept, updates, state.average)
        found = jax.tree.map(direction, updates, average, plain)
        return found, MuonState(steps, average, after)

    return optax.GradientTransformation(init, update)
