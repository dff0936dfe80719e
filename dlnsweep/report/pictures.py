"""The figures of a page: drawn by the house's own code, and made small where they are large."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dlnsweep.errors import DlnsweepError
from dlnsweep.figures.canvas import encoded
from dlnsweep.figures.draw import draw
from dlnsweep.figures.folder import stored_figures
from dlnsweep.report.svg import AS_DRAWN, inline_svg, width_of
from dlnsweep.results import Results
from dlnsweep.settings.figure_files import file_stems
from dlnsweep.settings.sentences import raised

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# All figures together, and the most of one that is drawn in lines alone.
_BYTES = 3_500_000
_ONE = 700_000
MOST_FIGURES = 24
_DOTS_PER_INCH = 160
_WIDE_INCHES = 4.5
# As Matplotlib calls the axes of a colour bar.
_BAR = "<colorbar>"


@dataclass(frozen=True)
class Picture:
    """A figure in the page.

    Attributes:
        title: What it is called: the name of its file.
        image: The picture; empty if there is none.
        wide: Whether it is wider than a column of a paper.
        night: Whether its colours can be changed one by one for dark paper: those of an image
            cannot.
        turned: Whether it is turned as a whole on dark paper: an image of lines and marks. Cells
            stay as they are, on white.
        notes: What to know of it: that it could not be drawn, or was made smaller.
    """

    title: str
    image: Markup
    wide: bool = False
    night: bool = False
    turned: bool = False
    notes: tuple[str, ...] = ()


def pictures(results: Results) -> list[Picture]:
    """Return the figures that the sweep asks for; what cannot be drawn says why."""
    try:
        figures = stored_figures(results)
    except DlnsweepError as error:
        return [Picture("figures", Markup(), notes=(str(error),))]
    return list(_drawn(results, figures[:MOST_FIGURES]))


def num_figures(results: Results) -> int:
    """Return how many figures the sweep asks for."""
    return len(results.sweep["sweep"].get("figures", []))


def _drawn(results: Results, figures: Sequence[Any]) -> Iterator[Picture]:
    left = _BYTES
    for i, (settings, stem) in enumerate(zip(figures, file_stems(figures), strict=True)):
        try:
            # What a font lacks is seen in the picture.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph")
                picture = _picture(draw(results, settings), stem, f"f{i + 1}-", left)
        except DlnsweepError as error:
            picture = Picture(stem, Markup(), notes=(str(error),))
        # A stranger's drawing may raise anything.
        except Exception as error:
            told = f"This figure cannot be drawn ({raised(error)})."
            picture = Picture(stem, Markup(), notes=(told,))
        left -= len(picture.image)
        yield picture


def _picture(figure: Figure, stem: str, prefix: str, left: int) -> Picture:
    # The page's own paper is behind it.
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        if patch.get_facecolor() == (1.0, 1.0, 1.0, 1.0):
            patch.set_facecolor("none")
    has_cells = _keep_cells(figure)
    notes: list[str] = []
    source = encoded(figure, "svg")
    allowed = min(_ONE, left)
    if len(source) > allowed:
        for axes in figure.axes:
            for artist in (*axes.lines, *axes.collections, *axes.patches):
                artist.set_rasterized(True)
        figure.set_dpi(_DOTS_PER_INCH)
        source = encoded(figure, "svg")
        notes.append(
            "What this figure shows is so much that its marks and lines are an image of "
            f"{_DOTS_PER_INCH} dots an inch here; `dlnsweep figure` writes all of it."
        )
    label = f"Figure {stem}"
    wide = width_of(source) > _WIDE_INCHES
    if len(source) <= left:
        image = inline_svg(source, prefix, label)
        # Where cells are an image, their colours shall stay; where lines are, they would not fit.
        night = has_cells or "<image" not in image
        return Picture(stem, image, wide, night, not night, tuple(notes))
    image = _image(figure, label)
    if len(image) <= left:
        told = f"This figure is an image of {_DOTS_PER_INCH} dots an inch, as the page is full."
        return Picture(stem, image, wide, turned=not has_cells, notes=(told,))
    told = "This figure is left out, as the page is full; `dlnsweep figure` draws it."
    return Picture(stem, Markup(), notes=(told,))


def _keep_cells(figure: Figure) -> bool:
    """Mark what shows numbers by colour over a range; return whether there is any."""
    from matplotlib.collections import QuadMesh

    meshes = {
        axes: [each for each in axes.collections if isinstance(each, QuadMesh)]
        for axes in figure.axes
    }
    if not any(found for axes, found in meshes.items() if axes.get_label() != _BAR):
        return False
    # Its bar, and what is written and drawn on cells, too.
    artists = [
        artist
        for axes, found in meshes.items()
        if found
        for artist in (*found, *axes.texts, *axes.lines)
    ]
    for number, artist in enumerate(artists):
        artist.set_gid(f"{AS_DRAWN}-{number}")
    return True


def _image(figure: Figure, label: str) -> Markup:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH)
    data = base64.b64encode(file.getvalue()).decode()
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(label, data)
