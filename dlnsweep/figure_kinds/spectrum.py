"""Each entry of a vector observable against the step: `kind = "spectrum"`."""

from __future__ import annotations

from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import SpectrumFigure


class Spectrum(FigureKind):
    """What a figure of singular values asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    takes_overlays: ClassVar = True
    one_in: ClassVar = "y"
    entries: ClassVar = "vector"
    mixes: ClassVar = "medians"

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        del figure
        return "step"


SPECTRUM = Spectrum(SpectrumFigure, "dlnsweep.figures.kinds.spectrum:draw_spectrum")
