"""The figures and the summary table of a results folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlnsweep import plugins
from dlnsweep.drawn import remember, up_to_date
from dlnsweep.errors import SpecError
from dlnsweep.figures import draw, file_stems, read_figure, save
from dlnsweep.results import Results, open_results
from dlnsweep.store.interface import Files

if TYPE_CHECKING:
    import pandas as pd


def draw_figures(folder: str | Path, figures: Sequence[Any] | None = None) -> list[Any]:
    """Draw figures of a results folder and write their files.

    Args:
        folder: The results folder, or its address.
        figures: The settings of the figures; those that the sweep asked for by default.

    Returns:
        The files written: paths, or addresses.

    Raises:
        SpecError: If there is no figure to draw, or one asks for what was not recorded.
    """
    plugins.load()
    results = open_results(folder)
    if figures is None:
        figures = stored_figures(results)
    if not figures:
        raise SpecError(
            f"{folder}: its sweep file has no [figure]; add one and run again, or give a file with "
            "one: dlnsweep figure RESULTS --file FILE."
        )
    paths: list[Any] = []
    for settings, stem in zip(figures, file_stems(figures), strict=True):
        drawn = draw(results, settings)
        if isinstance(results.path, Path):
            paths += save(drawn, results.path / "figures" / stem, settings.formats)
        else:
            paths += _put(results.store.files, drawn, stem, settings.formats)
    return paths


def draw_missing_figures(folder: str | Path) -> tuple[list[Any], bool]:
    """Draw the figures that a sweep asked for, unless they are up to date.

    Returns:
        Their files, and whether they were drawn.

    Raises:
        SpecError: As `draw_figures`.
    """
    plugins.load()
    results = open_results(folder)
    figures = stored_figures(results)
    there = up_to_date(results, figures)
    if there:
        return there, False
    paths = draw_figures(folder, figures)
    remember(results, figures, paths)
    return paths, True


def _put(files: Files, figure: Any, stem: str, formats: Sequence[str]) -> list[str]:
    """Save a figure among results in an object store."""
    with tempfile.TemporaryDirectory(prefix="dlnsweep-") as folder:
        saved = save(figure, Path(folder) / stem, formats)
        named = [(f"figures/{path.name}", path.read_bytes()) for path in saved]
    files.write_in_order(named)
    return [str(files.path(name)) for name, _ in named]


def stored_figures(results: Results) -> list[Any]:
    """Return the figures that the sweep asked for when it was last run."""
    return [read_figure(table) for table in results.sweep["sweep"]["figures"]]


def summary_table(folder: str | Path, by: Sequence[str] | None, at: str) -> pd.DataFrame:
    """Return medians and quartiles of all scalar observables.

    Args:
        folder: The results folder.
        by: The settings to group by; all that vary by default.
        at: "final", "min", or a step as text.

    Raises:
        SpecError: If `by` or `at` names what there is not.
    """
    results = open_results(folder)
    groups = list(by) if by else results.varying or ["network.depth"]
    table = results.summary(by=groups, at=int(at) if at.isdecimal() else at)
    kept = [*groups, "num_runs", "num_diverged", "num_planned_missing"]
    kept += [name for name in table.columns if name.endswith(("_q25", "_median", "_q75"))]
    return table[[name for name in kept if name in table.columns]]


def with_few_digits(table: pd.DataFrame) -> pd.DataFrame:
    """Return a summary table with its statistics rounded to four digits, to be read."""
    rounded = {
        name: [float(f"{value:.4g}") for value in table[name]]
        for name in table.columns
        if name.endswith(("_q25", "_median", "_q75"))
    }
    return table.assign(**rounded)
