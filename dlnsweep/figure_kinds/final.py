"""One number a run against a setting: `kind = "final"`."""

from __future__ import annotations

from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import FinalFigure


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


FINAL = Final(FinalFigure, "dlnsweep.figures.kinds.final:draw_final")
