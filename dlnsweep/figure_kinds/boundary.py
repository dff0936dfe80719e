"""The boundary that [sweep.refine] finds, against another setting: `kind = "boundary"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import BoundaryFigure


class Boundary(FigureKind):
    """What a figure of a boundary asks of a sweep."""

    described: ClassVar = True
    setting_keys: ClassVar = ("x",)
    of_numbers: ClassVar = True
    shows_boundary: ClassVar = True

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        del figure
        return "setting"

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield why there is no boundary against x, or for each hue."""
        # A folder says so itself.
        refine = values.get("sweep.refine", ("unknown",))[0]
        if refine is None:
            yield (
                "kind is 'boundary', but nothing is refined: add [sweep.refine], or use 'heatmap'."
            )
        elif refine != "unknown" and refine.between in (figure.x, figure.hue):
            key = "x" if refine.between == figure.x else "hue"
            yield f"{key} is '{refine.between}', which is refined and stands on the vertical axis."


BOUNDARY = Boundary(BoundaryFigure, "dlnsweep.figures.kinds.boundary:draw_boundary")
