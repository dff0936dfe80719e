"""What a results folder has of the rooms above it: its figures, and its page."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Named, not imported: what draws results stands above them.
_FIGURE = "dlnsweep.figures.inline:figure"
_REPORT = "dlnsweep.report.page:write_report"


class Drawing:
    """The methods of results that draw them."""

    def figure(self, table: Mapping[str, Any] | None = None, /, **keys: Any) -> Figure:
        """Return one figure of the results, drawn in a notebook where it is a cell's last value.

        It is no figure of pyplot's: none is left behind, and none needs to be closed.
        `savefig("fig.svg")` writes the same bytes each time.

        Args:
            table: Keys of a `[figure]` as a dictionary, as it stands in a sweep file.
            **keys: The same, and more: kind ("curves" by default), y, hue, ... `dlnsweep explain
                figure` lists them. Without any key, the first figure that the sweep's file asks
                for.

        Raises:
            SpecError: If a key is wrong, or asks for what the sweep did not record or vary.
            StoreError: If no run is done yet.
        """
        return _named(_FIGURE)(self, {**(table or {}), **keys})

    def report(self, path: str | Path | None = None) -> Path:
        """Write one page of HTML about the results, which needs no network; return its file.

        Figures, tables, settings, divergence, versions and times; of an unfinished sweep it says
        how far that is.

        Args:
            path: The file; "<name of the sweep>.html" in the current folder by default.

        Raises:
            StoreError: If the folder is damaged, or the file cannot be written.
        """
        return _named(_REPORT)(self, path)


def _named(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
