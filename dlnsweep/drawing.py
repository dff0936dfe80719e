"""The figures of a results folder: drawn as its sweep asks, and kept in its `figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.figures import draw, file_stems, read_figure, save
from dlnsweep.results import Results, open_results


def draw_figures(folder: str | Path, figures: Sequence[Any] | None = None) -> list[Path]:
    """Draw figures of a results folder and write their files.

    Args:
        folder: The results folder.
        figures: The settings of the figures; those that the sweep asked for by default.

    Returns:
        The files written.

    Raises:
        SpecError: If there is no figure to draw, or one asks for what was not recorded.
    """
    results = open_results(folder)
    if figures is None:
        figures = stored_figures(results)
    if not figures:
        raise SpecError(
            f"{folder}: its sweep file has no [figure]; add one and run again, or give a file with "
            "one: dlnsweep figure RESULTS --file FILE."
        )
    paths: list[Path] = []
    for settings, stem in zip(figures, file_stems(figures), strict=True):
        drawn = draw(results, settings)
        paths += save(drawn, Path(folder) / "figures" / stem, settings.formats)
    return paths


def stored_figures(results: Results) -> list[Any]:
    """Return the figures that the sweep asked for when it was last run."""
    return [read_figure(table) for table in results.sweep["sweep"]["figures"]]
