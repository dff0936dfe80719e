"""Figures from tables: draw one `[figure]` of a sweep, and save it.

Importing this package loads no matplotlib, so that the settings of figures can be read when a
sweep file is checked; drawing does.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.figure import kind_of, read_figure, register_figure
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.figures.overlays import Overlay
from dlnsweep.machine.backend import load_matplotlib
from dlnsweep.spec.figures.check import check
from dlnsweep.spec.figures.reading import with_style
from dlnsweep.spec.figures.styles import wrong_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlnsweep.figures.statistics import Results

__all__ = [
    "Overlay",
    "check",
    "draw",
    "read_figure",
    "register_figure",
    "save",
]

FORMATS = ("png", "pdf", "svg")


def draw(results: Results, figure: Any, overlays: Sequence[Overlay] = ()) -> Figure:
    """Return a figure of a sweep's results.

    Args:
        results: The results of a sweep, finished or not: runs that are not done are counted.
        figure: The settings of the figure.
        overlays: Curves from formulas, drawn dashed beside the measured ones.

    Raises:
        SpecError: The figure asks for what the sweep did not record or vary.
        StoreError: No run is done yet.
    """
    load_matplotlib()
    from dlnsweep.figures.carrying_out import carried_out
    from dlnsweep.figures.joining import ready_to_draw
    from dlnsweep.figures.selected import Overlaid

    if figure.style is not None:
        figure, problems = with_style(figure)
        if problems:
            raise SpecError(*(f"figure.{problem}" for problem in problems))
    # The rest is looked at beside the runs; by these everything is drawn, text of its own too.
    if problems := list(wrong_settings(figure.rc)):
        raise SpecError(*(f"figure.{problem}" for problem in problems))
    ready = ready_to_draw(results, figure)
    kind = kind_of(figure)
    if overlays:
        if not kind.takes_overlays:
            raise SpecError(f"A figure of kind '{kind.name}' has no place for theory curves.")
        ready = Overlaid(ready, overlays)
    return carried_out(kind, ready, figure)


def save(
    figure: Figure, path_stem: str | Path, formats: Sequence[str] = ("png", "pdf")
) -> list[Path]:
    """Write a figure as `path_stem`.png and so on, and return the paths.

    The same figure gives the same bytes each time. A file is complete or not there.

    Args:
        figure: What `draw` returned.
        path_stem: The path without the ending; folders that are missing are made.
        formats: "png", "pdf", "svg".

    Raises:
        SpecError: Another format was asked for.
        StoreError: The files cannot be written.
    """
    load_matplotlib()
    from dlnsweep.figures.canvas import encoded

    paths = []
    for name in formats:
        if name not in FORMATS:
            allowed = ", ".join(FORMATS)
            raise SpecError(f"figure.formats has '{name}'; a figure can be written as {allowed}.")
        path = Path(f"{path_stem}.{name}")
        # A name that nobody can have put there, such as a link to somebody's file.
        partial = path.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as file:
                file.write(encoded(figure, name))
            partial.replace(path)
        except OSError as error:
            raise StoreError(
                f"{path}: the figure cannot be written ({error.strerror or error}); "
                "make room or choose another folder with --out."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink()
        paths.append(path)
    return paths
