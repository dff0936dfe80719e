"""The network "diagonal_linear": a linear map whose entries are differences of powers.

    f(y) = (u^L - v^L) y,   u, v (d, m), powers entry by entry

so that each entry of the map has two parameters of its own, as in a network of diagonal matrices
(Woodworth et al. 2020, arXiv:2002.09277, section 4 for L = 2 and 5 for larger ones). With one
output it is regression on beta = u^L - v^L (m), which begins at zero, all entries of u and v being
alpha: from a small alpha gradient flow goes to the interpolating beta of least l1 norm, from a
large one to that of least l2 norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from dlnsweep.contracts.network import Network
from dlnsweep.contracts.structure import Structure
from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.state import Samples
    from dlnsweep.numerics.streams import Keys


class DiagonalLinearSettings(Settings):
    """[network] "diagonal_linear": f(y) = (u^L − v^L) y, powers entry by entry."""

    kind: Annotated[
        Literal["diagonal_linear"], Describe("static", "which network is trained", axis=False)
    ] = "diagonal_linear"
    depth: Annotated[
        Annotated[int, Field(ge=2, le=1000)], Describe("static", "power of u and of v", "L")
    ] = 2
    layer_init_scale: Annotated[
        Annotated[float, Field(gt=0)],
        Describe("traced", "every entry of u and of v at the start", "α"),
    ] = 1.0


def init(settings: DiagonalLinearSettings, data: Samples, key: Keys) -> dict[str, Any]:
    """Return u and v, all entries alpha; nothing is drawn."""
    del key
    shape = data.targets.shape[0], data.inputs.shape[0]
    full = jnp.full(shape, settings.layer_init_scale, jnp.float64)
    return {"u": full, "v": full}


def predict(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: DiagonalLinearSettings
) -> Float[Array, "d n"]:
    """Return (u^L - v^L) Y."""
    from dlnsweep.numerics.products import multiply

    power = settings.depth
    return multiply(params["u"] ** power - params["v"] ** power, inputs)


def multiplications(settings: DiagonalLinearSettings, inputs: int, outputs: int) -> int:
    """Return the products that a prediction takes."""
    del settings
    return inputs * outputs


DIAGONAL_LINEAR = Network(
    "diagonal_linear",
    DiagonalLinearSettings,
    init,
    predict,
    observables=("loss", "regression_error"),
    multiplications=multiplications,
    structure=Structure(degree=lambda settings: settings.depth, linear=lambda _: True),
)
