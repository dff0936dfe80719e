"""[sweep.refine]: where along an axis runs begin or cease to succeed, found in rounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.success import Success, read_conditions


def _outside(text: str) -> Describe:
    return Describe("outside", text, axis=False)


class Refine(Settings):
    """The boundary that a sweep looks for, and how finely.

    In each combination of the other axes a value succeeds when at least half of its seeds do. Where
    neighbouring values differ, the next round runs `points` values between them, until the two ends
    of each boundary are within `tolerance`.
    """

    between: Annotated[str, _outside("the axis that is refined, a setting of numbers")]
    success: Annotated[
        tuple[Success, ...],
        BeforeValidator(read_conditions),
        _outside(
            "'finished' (a run that did not diverge), or { observable = ..., below = ... } of its "
            "end, or a list of several, which must all hold"
        ),
    ] = ()
    tolerance: Annotated[
        Annotated[float, Field(gt=0, lt=1)],
        _outside("relative distance of the two ends of a boundary at which it is known"),
    ] = 0.01
    max_rounds: Annotated[
        Annotated[int, Field(ge=1, le=64)], _outside("most rounds after the values of the file")
    ] = 8
    points: Annotated[
        Annotated[int, Field(ge=1, le=64)], _outside("values between the ends, in each round")
    ] = 3
    spacing: Annotated[
        Literal["log", "linear"], _outside("how these are spaced; log needs positive values")
    ] = "log"
