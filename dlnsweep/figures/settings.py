"""The settings of figures, for kinds of one's own; see `settings/figures.py`."""

from dlnsweep.settings.figure_look import Figure
from dlnsweep.settings.figures import CurvesFigure, FinalFigure

__all__ = ["CurvesFigure", "Figure", "FinalFigure"]
