"""What this package's own kinds of figures are drawn of: the runs selected, and formulas over them.

A kind's drawing takes results and settings, whoever wrote it. Ours hold every key against the
results first, and draw the runs that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from matplotlib.figure import Figure

from dlnsweep.errors import SpecError
from dlnsweep.figures.beside import beside_overlays
from dlnsweep.figures.labels import network_among, words_of
from dlnsweep.figures.legends import named_overlays
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.statistics import Results, Selection, levels, select, setting_columns
from dlnsweep.figures.theory import theory_overlays
from dlnsweep.spec.figures.check import check


class Overlaid:
    """Results with curves of formulas that are to be laid over what is measured.

    Args:
        results: The results of a sweep.
        overlays: The curves.
    """

    def __init__(self, results: Results, overlays: Sequence[Overlay]) -> None:
        self.results, self.overlays = results, tuple(overlays)

    def __getattr__(self, name: str) -> Any:
        """Return what the results have under a name."""
        return getattr(self.results, name)


def of_selected_runs(
    draw: Callable[[Results, Any, Selection], Figure],
) -> Callable[[Results, Any], Figure]:
    """Make a kind's drawing of one that takes the selected runs, too.

    Args:
        draw: Takes results, settings and the selection; every key has been held against them.
    """

    @wraps(draw)
    def drawn(results: Results, keys: Any) -> Figure:
        selection = _checked_selection(results, keys)
        with words_of(selection.runs):
            return draw(results, keys, selection)

    return drawn


def overlays_of(results: Results, keys: Any, selection: Selection) -> list[Overlay]:
    """Return the curves that are laid over a figure, with the names that its file has for them.

    Args:
        results: The results of a sweep.
        keys: The figure's settings.
        selection: Its runs.
    """
    overlays = [*getattr(results, "overlays", ())]
    if getattr(keys, "theory", ()):
        overlays += theory_overlays(results, keys, selection)
    if getattr(keys, "beside", None):
        overlays += beside_overlays(results, keys, selection)
    return named_overlays(keys, overlays, network_among(selection.runs))


def _checked_selection(results: Results, figure: Any) -> Selection:
    runs = results.runs(unused=True)
    settings = setting_columns(runs)
    unknown = [name for name in figure.where if name not in settings]
    everything = select(results, {} if unknown else figure.where, runs)
    finals = {
        name.removeprefix("final_"): everything.runs[name]
        for name in everything.runs.columns
        if name.startswith("final_")
    }
    vectors = [
        name
        for name, column in finals.items()
        if column.dtype == object
        and any(hasattr(value, "__len__") and not isinstance(value, str) for value in column)
    ]
    values = {name: levels(runs, name) for name in settings}
    sentences = check(figure, list(finals), settings, vectors, everything.varying, values=values)
    if sentences:
        raise SpecError(*sentences)
    return everything
