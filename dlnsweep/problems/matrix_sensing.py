"""Matrices of low rank known by Gaussian measurements (arXiv:1905.13655).

y_k = <A_k, M>, k = 1, ..., N, the entries of A_k independent N(0, 1 / (d m)): N(0, 1) / 100 for
matrices of 100 x 100. Those of fewer measurements are among those of more. The operator is a dense
matrix of N rows and d m columns, 80 MB in float32 for N = 2000 and 100 x 100. It is the same for
all runs of a seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from dlnsweep.problems.matrices import Dimension, LowRankSettings, loss_scale, low_rank_target
from dlnsweep.settings.base import Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys
    from dlnsweep.problems.losses import Fit


class MatrixSensingSettings(LowRankSettings):
    """[problem] kind = "matrix_sensing"."""

    kind: Annotated[Literal["matrix_sensing"], Describe("static", "which problem", axis=False)] = (
        "matrix_sensing"
    )
    num_measurements: Annotated[Dimension, Describe("static", "number of measurements", "N")]


def draw_operator(settings: MatrixSensingSettings, key: Keys) -> Float[Array, "N dm"]:
    """Draw the matrices A_k, one a row, float64.

    Args:
        settings: The settings; only static fields are read.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.streams import gaussian

    entries = settings.num_rows * settings.num_columns
    return gaussian(key("data/operator"), settings.num_measurements, entries) / entries**0.5


def draw(
    settings: MatrixSensingSettings, key: Keys, operator: Float[Array, "N dm"] | None = None
) -> Fit:
    """Draw the target and its measurements, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
        operator: What `draw_operator` returns, if it is drawn already.
    """
    from dlnsweep.numerics.products import multiply
    from dlnsweep.problems.losses import Fit, Measurements

    target = low_rank_target(settings, key)
    count = settings.num_measurements
    if operator is None:
        operator = draw_operator(settings, key)
    values = multiply(operator, target.reshape(-1))
    return Fit(Measurements(operator, values), loss_scale(settings, count), target)
