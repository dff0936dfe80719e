"""[sweep.until]: seeds are added in rounds until an interval is narrow enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.figure_look import Where
from dlnsweep.settings.success import Success, read_conditions


def _outside(text: str) -> Describe:
    return Describe("outside", text, axis=False)


class Until(Settings):
    """Of what an interval is asked in each combination of the axes, and how narrow.

    Rounds add seeds to every combination whose interval is still wider than `width`. With
    probability `level` or more, all intervals of a combination that the rounds look at hold what is
    estimated, so the one at which they stop does: looking again and again is accounted for.
    """

    width: Annotated[
        Annotated[float, Field(gt=0)],
        _outside("an interval is narrow enough when its ends are no further apart than this"),
    ]
    most_seeds: Annotated[
        Annotated[int, Field(ge=2, le=10_000)],
        _outside("most seeds of a combination, where rounds end in any case"),
    ]
    observable: Annotated[
        str | None, _outside("the observable whose median over the seeds, at the end, is estimated")
    ] = None
    success: Annotated[
        tuple[Success, ...] | None,
        BeforeValidator(read_conditions),
        _outside(
            "instead of an observable: the probability of success, 'finished' (a run that did not "
            "diverge), or { observable = ..., below = ... } of its end, or a list of several, "
            "which must all hold"
        ),
    ] = None
    relative: Annotated[
        bool,
        _outside("whether width is a share of the estimate's size, of the observable's median"),
    ] = False
    level: Annotated[
        Annotated[float, Field(gt=0.5, lt=1)],
        _outside("the probability with which all intervals of a combination hold the truth"),
    ] = 0.95
    growth: Annotated[
        Annotated[float, Field(ge=1.05, le=10)],
        _outside("from round to round the seeds grow by this factor, from sweep.seeds"),
    ] = 1.5
    against: Annotated[
        Where,
        _outside(
            "estimate the difference to the combination with these values instead, such as "
            '{ "training.weight_decay" = 0.0 }'
        ),
    ] = Field(default_factory=dict)
    difference: Annotated[
        Literal["pairs", "medians"],
        _outside(
            "with against: the median of the differences between runs of one seed, or the "
            "difference of the two medians, whose interval is wider"
        ),
    ] = "pairs"
    where: Annotated[
        Where,
        _outside("ask it of the combinations with these values only: a setting = a value, several"),
    ] = Field(default_factory=dict)

    @property
    def estimated(self) -> str:
        """What is estimated, in words."""
        if self.success is not None:
            conditions = [f"{each.observable} < {each.below:g}" for each in self.success]
            return f"the probability of {' and '.join(conditions) or 'finished'}"
        if not self.against:
            return f"the median of {self.observable}"
        base = ", ".join(f"{key} = {value[0]}" for key, value in self.against.items())
        if self.difference == "medians":
            return f"the difference of the medians of {self.observable} to {base}"
        return f"the median difference of {self.observable} to {base}, seed by seed"

    def why_not_drawn(self, observables: Sequence[str]) -> str:
        """Return why a figure of some observables has no place for the intervals; or nothing."""
        if self.success is not None or self.against:
            return (
                f"band is 'until', but sweep.until asks for {self.estimated}, which is no median "
                "that is drawn; `dlnsweep intervals` has the table."
            )
        if others := [name for name in observables if name != self.observable]:
            return (
                f"y names '{others[0]}', but the intervals of sweep.until are of "
                f"'{self.observable}'; draw that alone, or another band."
            )
        return ""

    @property
    def sentence(self) -> str:
        """What is asked for, in words."""
        size = f"{self.width:g} of its size" if self.relative else f"{self.width:g}"
        return f"the {100 * self.level:g} % interval of {self.estimated} is no wider than {size}"
