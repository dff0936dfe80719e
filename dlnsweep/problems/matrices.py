"""What problems of finding a matrix share: their settings, and how targets are drawn.

The target is a matrix M (d, m) of which something is known; the loss compares the same functions
of W with it (problems/losses.py). Targets of low rank are U V^T / sqrt(rank), U (d, rank) and
V (m, rank) standard Gaussian, scaled to a given Frobenius norm (arXiv:1905.13655, appendix).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint, Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]


class MatrixSettings(Settings):
    """The settings of every problem of finding a matrix."""

    # Each problem has its own kind; here it only gets the first place among the keys.
    kind: Any
    num_rows: Annotated[Dimension, Describe("static", "rows of the matrix", "d")]
    num_columns: Annotated[Dimension, Describe("static", "columns of the matrix", "m")]
    loss: Annotated[
        Literal["mean", "half_sum"],
        Describe(
            "static",
            "mean: mean squared error over what is observed; half_sum: half the sum of squares",
        ),
    ] = "mean"


class LowRankSettings(MatrixSettings):
    """The settings of problems whose target has low rank."""

    rank: Annotated[Dimension, Describe("static", "rank of the target", "r")]
    target_norm: Annotated[
        Positive, Describe("traced", "Frobenius norm of the target", "‖M‖_F")
    ] = 100.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.rank", "problem.num_rows", "problem.num_columns"),
            lambda rank, d, m: rank <= min(d, m),
            "problem.rank is {0}; a matrix of {1} rows and {2} columns has at most the smaller "
            "of them.",
        ),
    )


def low_rank_target(settings: LowRankSettings, key: Keys) -> Float[Array, "d m"]:
    """Draw U V^T / sqrt(rank), scaled to the target's norm."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    left = gaussian(key("data/left"), settings.num_rows, settings.rank)
    right = gaussian(key("data/right"), settings.num_columns, settings.rank)
    product = multiply(left, right.T) / settings.rank**0.5
    return product * (settings.target_norm / jnp.linalg.norm(product))


def loss_scale(settings: MatrixSettings, count: Any) -> Float[Array, ""]:
    """Return s of the loss (s / 2) sum_k r_k^2 over `count` numbers."""
    return jnp.asarray(2.0 / count if settings.loss == "mean" else 1.0, jnp.float64)
