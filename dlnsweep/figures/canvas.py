"""The figure itself: Matplotlib's, which knows how it is to be saved and shown.

It belongs to no pyplot: nothing has to be closed, and no figure of another program is touched.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from dlnsweep.figures import looks

# Dates and versions would make files differ that show the same.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "dlnsweep"},
    "pdf": {"Creator": "dlnsweep", "Producer": "dlnsweep", "CreationDate": None},
    "svg": {"Creator": "dlnsweep", "Date": None},
}
# Which engine None stands for is a setting of Matplotlib's.
_NO_LAYOUT: Any = {"figure.autolayout": False, "figure.constrained_layout.use": False}
# What fontTools leaves out of fonts is the same for all of a process: one figure at a time.
_EMBEDDING = RLock()
_DROPPED = "_drop_tables_default"
_OF_LAYOUT = ("GSUB", "GPOS", "GDEF", "BASE", "MATH", "kern")
# A notebook shows a figure at so many pixels an inch, drawn twice as fine for sharp screens.
_SHOWN = 110


class DrawnFigure(Figure):
    """A figure that is saved in the style that it was drawn in, with the same bytes each time."""

    # The layout that it has until it is saved, and the settings of Matplotlib that it has for
    # itself.
    first_engine: Any = None
    rc: Mapping[str, Any] = MappingProxyType({})
    # What the small print says, whether it stands below or not.
    caption: str = ""
    has_footer: bool = True
    # Its panels and the runs of its lines (figures/panels.py), for who shows it by other means.
    grid: Any = None

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure to a file, as Matplotlib does."""
        kind = str(options.get("format") or Path(str(fname)).suffix.lstrip(".") or "png").lower()
        options = {"metadata": metadata_of(self, kind), "dpi": self.dpi, **options}
        settle(self)
        with looks.styled(self.rc), _fonts(kind):
            super().savefig(fname, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return what a notebook shows, and how large it shows it."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=2 * _SHOWN)
        width, height = (round(_SHOWN * inches) for inches in self.get_size_inches())
        return file.getvalue(), {"width": width, "height": height}


def settle(figure: Figure) -> None:
    """Lay a figure out for the last time.

    Laid out anew at every save, panels would move by a fraction of a pixel.
    """
    if isinstance(figure, DrawnFigure) and figure.get_layout_engine() is not figure.first_engine:
        return
    with looks.styled(getattr(figure, "rc", None)):
        figure.draw_without_rendering()
    # None at all: beside one that does nothing, Matplotlib would draw twice what it saves.
    with matplotlib.rc_context(_NO_LAYOUT):
        figure.set_layout_engine(None)


def encoded(figure: Figure, kind: str) -> bytes:
    """Return the bytes of a figure's file: the same each time.

    Args:
        figure: What `draw` returned.
        kind: "png", "pdf" or "svg".
    """
    file = io.BytesIO()
    settle(figure)
    # A stranger's figure knows nothing of it.
    with looks.styled(getattr(figure, "rc", None)), _fonts(kind):
        figure.savefig(file, format=kind, metadata=metadata_of(figure, kind), dpi=figure.dpi)
    return file.getvalue()


def metadata_of(figure: Figure, kind: str) -> dict[str, Any] | None:
    """Return what a file says of itself: with the small print, where that does not stand below."""
    known = METADATA.get(kind)
    if known is None or not isinstance(figure, DrawnFigure) or figure.has_footer:
        return known
    return {**known, "Subject" if kind == "pdf" else "Description": figure.caption}


@contextmanager
def _fonts(kind: str) -> Iterator[None]:
    """Embed fonts without the tables that lay out text, and without complaints of their dates.

    Glyphs stand at their places in a PDF. To cut those tables down to the glyphs that are used
    takes longer than to draw a figure.
    """
    if kind != "pdf":
        yield
        return
    from fontTools import subset

    logger, options = logging.getLogger("fontTools"), subset.Options
    with _EMBEDDING:
        # Where another version of fontTools has no such list, it only takes longer.
        level, dropped = logger.level, getattr(options, _DROPPED, None)
        logger.setLevel(logging.ERROR)
        if dropped is not None:
            setattr(options, _DROPPED, [*dropped, *_OF_LAYOUT])
        try:
            yield
        finally:
            logger.setLevel(level)
            if dropped is not None:
                setattr(options, _DROPPED, dropped)
