"""One number a run against a setting: `kind = "final"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figure_keys import is_number
from dlnsweep.settings.figures import FinalFigure
from dlnsweep.settings.sentences import show


class Final(FigureKind):
    """What a figure of the runs' ends asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    takes_overlays: ClassVar = True
    several_in: ClassVar = "y"
    setting_keys: ClassVar = ("x",)
    mixes: ClassVar = "medians"
    has_intervals: ClassVar = True
    shows_single_runs: ClassVar = True

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        del figure
        return "setting"

    def contradictions(self, figure: Any) -> Iterator[str]:
        """Yield what is divided and not drawn, or is no value."""
        for name in figure.over_x:
            if name not in figure.y:
                yield f"over_x names {show(name)}, which is not drawn; y is {list(figure.y)}."
        if figure.over_x and figure.at == "argmin":
            yield "at is 'argmin', a step, but over_x divides observables; leave one of them out."
        if figure.over_x and figure.band == "until":
            yield (
                "band is 'until', the intervals of the values themselves, but over_x divides them; "
                "leave one of them out."
            )

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield by what values of x nothing can be divided."""
        for value in values.get(figure.x, ()) if figure.over_x else ():
            if not is_number(value) or not value > 0:
                yield (
                    f"over_x divides by {figure.x}, which has the value {show(value)} here; leave "
                    "such runs out by where, or name no observable in over_x."
                )
                return


FINAL = Final(FinalFigure, "dlnsweep.figures.kinds.final:draw_final")
