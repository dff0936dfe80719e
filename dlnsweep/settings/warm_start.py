"""[sweep.warm_start]: runs that begin with the weights that another sweep's runs have kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.figure_look import Where

# Its dotted key, which runs that begin with drawn weights do not have.
WARM_START = "sweep.warm_start"
# The columns of `runs.parquet` with the run whose weights one begins with, the step at which they
# are taken there, and the hash of their content.
COLUMNS = ("starts_from", "starts_from_step", "initial_weights")


def _outside(text: str) -> Describe:
    return Describe("outside", text, axis=False)


class WarmStart(Settings):
    """Where the initial weights of a sweep's runs are taken from.

    A run begins at step 0, with a fresh optimizer, with the weights that a run of the other sweep
    has kept: the one of its seed and of all its settings of [network], and, of what else varies
    there, of its own value too.
    """

    folder: Annotated[
        str,
        Field(alias="from", min_length=1),
        _outside("a results folder, or its address, whose runs kept weights"),
    ]
    where: Annotated[
        Where,
        _outside(
            "of a setting that varies there, the value of the run to take instead of one's own, "
            'such as { "training.weight_decay" = 0.1 } or { seed = 0 }'
        ),
    ] = Field(default_factory=dict)
    step: Annotated[
        Annotated[int, Field(ge=0)] | None,
        _outside("the step of the weights to take; the last one that is kept by default"),
    ] = None


def read_warm_start(value: object) -> object:
    """Return what `sweep.warm_start` means: a folder alone is one without more; "" is none."""
    if isinstance(value, str):
        return {"from": value} if value else None
    if value is None or isinstance(value, dict | WarmStart):
        return value
    raise ValueError("it must be a results folder, or a table, [sweep.warm_start]")
