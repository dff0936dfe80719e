"""A number over two settings: `kind = "heatmap"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figure_keys import is_number
from dlnsweep.settings.figures import HeatmapFigure


class Heatmap(FigureKind):
    """What a heatmap asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    one_in: ClassVar = "value"
    setting_keys: ClassVar = ("x", "y")
    mixes: ClassVar = "medians"

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the axes."""
        del figure
        return "cells"

    def drawn(self, figure: Any) -> tuple[str, ...]:
        """Return none: both axes are of settings."""
        del figure
        return ()

    def observables(self, figure: Any) -> Iterator[tuple[str, str]]:
        """Yield the observable of its cells, or those by which runs succeed."""
        conditions = figure.success or ()
        for index, each in enumerate(conditions):
            place = "success" if len(conditions) == 1 else f"success[{index}]"
            yield f"{place}.observable", each.observable
        if figure.success is None and figure.value != "success":
            yield "value", figure.value

    def contradictions(self, figure: Any) -> Iterator[str]:
        """Yield what value, success and transition say against each other."""
        if figure.value == "success" and figure.success is None:
            yield (
                "value is 'success'; say when a run succeeds: "
                "success = { observable = 'regression_error', below = 1e-3 }."
            )
        if figure.value != "success" and figure.success is not None:
            yield f"success is given, but value is '{figure.value}'; set value = 'success'."
        if figure.transition and figure.value != "success":
            yield f"transition is given, but value is '{figure.value}'; set value = 'success'."

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield axes that have no power law."""
        if not figure.transition:
            return
        for key in self.setting_keys:
            found = values.get(getattr(figure, key), ())
            if not all(is_number(each) and each > 0 for each in found):
                yield (
                    f"transition needs positive numbers on both axes; {key} is "
                    f"'{getattr(figure, key)}'."
                )


HEATMAP = Heatmap(HeatmapFigure, "dlnsweep.figures.kinds.heatmap:draw_heatmap")
