"""How the initial weights of a deep linear network are drawn.

Every initializer returns (W_1, ..., W_L) in float64; each factor is then multiplied by
layer_init_scale and by product_init_scale^(1/L), the first by relative_init_scale and the last
divided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.contracts.words import add_word
from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.words import Words

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys


class InitialWeights(Protocol):
    """What the settings of [network] say of the initial weights."""

    @property
    def initializer(self) -> str:
        """A name in `INITIALIZERS`."""
        ...

    @property
    def layer_init_scale(self) -> Any:
        """A factor on each layer."""
        ...

    @property
    def product_init_scale(self) -> Any:
        """A factor on the product of all layers."""
        ...

    @property
    def relative_init_scale(self) -> Any:
        """A factor on the first layer, and one over it on the last."""
        ...


@dataclass(frozen=True)
class Shape:
    """The layer sizes of a network: dims[0] = m, dims[1..L-1] = d_w, dims[L] = d.

    Attributes:
        dims: Sizes of the arrays, static.
        width: The run's own hidden width, which may be traced and smaller than that of the
            arrays; the rest is zero, and gradient descent keeps it zero.
    """

    dims: tuple[int, ...]
    width: int | Array

    def fan_in(self, layer: int) -> int | Array:
        """Return the number of inputs of layer `layer`, counted from 0."""
        return self.dims[0] if layer == 0 else self.width


@dataclass(frozen=True)
class Initializer:
    """A way to draw initial weights.

    Attributes:
        name: Its word in network.initializer.
        draw: Takes the shape and a function from purpose to PRNG key; returns W_1, ..., W_L,
            float64, of the sizes `Shape.dims`. The settings' scales are not its business.
        paddable: Whether it can draw a narrow network inside wider, zero-padded arrays; it must
            then honour `Shape.width`, which may be a tracer.
        version: What its runs are known by; by default a hash of the source of `draw`, and of
            what that imports from beside it.
    """

    name: str
    draw: Callable[[Shape, Keys], Sequence[Float[Array, "..."]]]
    paddable: bool = False
    version: str = ""


def _fan_in_normal(shape: Shape, key: Keys) -> list[Float[Array, "..."]]:
    """Draw entries of variance 1 / fan_in (section 2 of arXiv:2502.15522)."""
    from dlnsweep.numerics.streams import gaussian

    weights = []
    depth = len(shape.dims) - 1
    for i, (columns, rows) in enumerate(zip(shape.dims, shape.dims[1:], strict=False)):
        entries = gaussian(key(f"weights/{i + 1}"), rows, columns) / jnp.sqrt(shape.fan_in(i))
        if i > 0:
            entries = jnp.where(jnp.arange(columns) < shape.width, entries, 0.0)
        if i < depth - 1:
            entries = jnp.where(jnp.arange(rows)[:, None] < shape.width, entries, 0.0)
        weights.append(entries)
    return weights


def _orthogonal(shape: Shape, key: Keys) -> list[Float[Array, "..."]]:
    """Draw Haar matrices with orthonormal columns or rows, whichever are fewer."""
    from dlnsweep.numerics.streams import haar

    weights = []
    for i, (columns, rows) in enumerate(zip(shape.dims, shape.dims[1:], strict=False)):
        tall = haar(key(f"weights/{i + 1}"), max(rows, columns), min(rows, columns))
        weights.append(tall if rows >= columns else tall.T)
    return weights


def _balanced(shape: Shape, key: Keys) -> list[Float[Array, "..."]]:
    """Draw balanced weights whose product is Gaussian with entries of variance 1 / m."""
    from dlnsweep.numerics.streams import gaussian

    dims = shape.dims
    product = gaussian(key("weights/product"), dims[-1], dims[0]) / jnp.sqrt(dims[0])
    return balanced_factors(product, dims, key)


def balanced_factors(
    product: Float[Array, "d m"], dims: tuple[int, ...], key: Keys
) -> list[Float[Array, "..."]]:
    """Return balanced weights with a given product.

    With the product's singular value decomposition U diag(sigma) V^T and Haar frames Q_i of the
    hidden layers, W_i = Q_i diag(sigma^(1/L)) Q_{i-1}^T, Q_0 = V, Q_L = U (Procedure 1 of Arora
    et al. 2019, arXiv:1810.02281, with random instead of coordinate frames).

    Args:
        product: The product.
        dims: The layer sizes; hidden ones of at least min(d, m).
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import haar

    depth = len(dims) - 1
    left, values, right = jnp.linalg.svd(product, full_matrices=False)
    frames = [right.T]
    frames += [haar(key(f"weights/frame{i}"), dims[i], len(values)) for i in range(1, depth)]
    frames.append(left)
    roots = values ** (1.0 / depth)
    return [multiply(frames[i + 1] * roots, frames[i].T) for i in range(depth)]


def _identity(shape: Shape, key: Keys) -> list[Float[Array, "..."]]:
    """Rectangular identity matrices."""
    pairs = zip(shape.dims, shape.dims[1:], strict=False)
    return [jnp.eye(rows, columns, dtype=jnp.float64) for columns, rows in pairs]


def _zero_last(shape: Shape, key: Keys) -> list[Float[Array, "..."]]:
    """As `fan_in_normal`, but W_L = 0: the product is zero (LoRA's start, arXiv:2106.09685)."""
    weights = _fan_in_normal(shape, key)
    return [*weights[:-1], jnp.zeros_like(weights[-1])]


OURS = (
    Initializer("fan_in_normal", _fan_in_normal, paddable=True),
    Initializer("orthogonal", _orthogonal),
    Initializer("balanced", _balanced),
    Initializer("identity", _identity),
    Initializer("zero_last", _zero_last, paddable=True),
)
INITIALIZERS: Registry[str, Initializer] = Registry()
INITIALIZER_WORDS = Words(*(each.name for each in OURS))


def register_initializer(initializer: Initializer) -> Initializer:
    """Make an initializer of networks of weight matrices known under its name.

    Raises:
        ValueError: If the name is taken, or is none.
    """
    must_be(initializer, Initializer, "register_initializer")
    name = initializer.name
    add_word(INITIALIZER_WORDS, "initializer", name, (initializer.draw,), initializer.version)
    INITIALIZERS[name] = initializer
    return initializer


def init_scales(settings: InitialWeights, depth: int) -> list[Any]:
    """Return the factors on W_1, ..., W_L that [network] asks for."""
    scale = settings.layer_init_scale * settings.product_init_scale ** (1.0 / depth)
    scales = [scale] * depth
    scales[0] = scales[0] * settings.relative_init_scale
    scales[-1] = scales[-1] / settings.relative_init_scale
    return scales


def draw_weights(
    settings: InitialWeights, shape: Shape, key: Keys
) -> tuple[Float[Array, "..."], ...]:
    """Draw the initial weights that [network] asks for, float64."""
    scales = init_scales(settings, len(shape.dims) - 1)
    weights = INITIALIZERS[settings.initializer].draw(shape, key)
    return tuple(scale * weight for scale, weight in zip(scales, weights, strict=True))
