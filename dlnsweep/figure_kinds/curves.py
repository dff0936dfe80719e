"""Observables against the step, one number each: `kind = "curves"`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import CurvesFigure
from dlnsweep.settings.sentences import show


class Curves(FigureKind):
    """What a figure of curves asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    takes_overlays: ClassVar = True
    several_in: ClassVar = "y"
    mixes: ClassVar = "medians"
    shows_single_runs: ClassVar = True

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        del figure
        return "step"

    def observables(self, figure: Any) -> Iterator[tuple[str, str]]:
        """Yield the observables in y, and those that stand beside them."""
        yield from super().observables(figure)
        yield from ((f"beside.{at}", name) for at, name in figure.beside.items())

    def contradictions(self, figure: Any) -> Iterator[str]:
        """Yield what stands beside nothing."""
        for observable in figure.beside:
            if observable not in figure.y:
                yield f"beside names {show(observable)}, which is not drawn; y is {list(figure.y)}."


CURVES = Curves(CurvesFigure, "dlnsweep.figures.kinds.curves:draw_curves")
