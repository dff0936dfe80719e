"""One observable against another, or against a setting: `kind = "scatter"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import ScatterFigure


class Scatter(FigureKind):
    """What a figure with a point for each run asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    several_in: ClassVar = "y"
    mixes: ClassVar = "points"
    of_numbers: ClassVar = True

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        return "setting" if figure.x_is_setting else "observable"

    def axes(self, figure: Any) -> tuple[str, ...]:
        """Return x where it is a setting."""
        return ("x",) if figure.x_is_setting else ()

    def observables(self, figure: Any) -> Iterator[tuple[str, str]]:
        """Yield the observables of both axes."""
        if not figure.x_is_setting:
            yield "x", figure.x
        yield from super().observables(figure)

    def contradictions(self, figure: Any) -> Iterator[str]:
        """Yield an observable against itself, and what has no partial dependence."""
        if figure.x in figure.y:
            yield f"x and y are both '{figure.x}'; name two different observables."
        elif figure.partial_dependence:
            if not figure.x_is_setting:
                yield (
                    f"partial_dependence is of a setting, but x is '{figure.x}'; name a sampled "
                    "one."
                )
            elif figure.bins is None:
                yield (
                    "partial_dependence is averaged in bins along x; say how many, such as "
                    "bins = 8."
                )

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield more bins than there are values."""
        if not (figure.x_is_setting and figure.partial_dependence):
            return
        count = len({*values.get(figure.x, ())})
        if figure.bins is not None and 0 < count <= figure.bins:
            yield (
                f"partial_dependence has {figure.bins} bins along '{figure.x}', which has {count} "
                "values; give fewer bins, or kind = 'final', which has each value's median."
            )


SCATTER = Scatter(ScatterFigure, "dlnsweep.figures.kinds.scatter:draw_scatter")
