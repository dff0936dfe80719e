"""Figures for Python: asked for by keywords, shown where a notebook shows values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts import plugins
from dlnsweep.contracts.figure import default_kind
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.folder import read_figures, stored_figures
from dlnsweep.spec.documents import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(results: Any, keys: Mapping[str, Any]) -> Figure:
    """Return a figure of results; see `Results.figure`."""
    plugins.load()
    if not keys:
        stored = stored_figures(results)
        if not stored:
            raise SpecError(
                f"{results.path}: its sweep file has no [figure]; say what to draw, such as "
                'figure(kind="curves", y="regression_error").'
            )
        return draw(results, stored[0])
    (settings,) = read_figures({"kind": default_kind(), **plain(keys)}, "")
    return draw(results, settings)
