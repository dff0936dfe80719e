"""What problems with one target of independent inputs share: their settings. No JAX."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dlnsweep.problems.operators import Dimension
from dlnsweep.settings.base import Describe, Settings

One = Annotated[int, Field(ge=1, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class ScalarSettings(Settings):
    """The settings of every problem with one target and inputs of a given size."""

    # Each problem has its own kind; here it only gets the first place among the keys.
    kind: Any
    measurement_dim: Annotated[Dimension, Describe("static", "number of inputs", "m")]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    signal_dim: Annotated[One, Describe("static", "number of targets, which is one", "d")] = 1
