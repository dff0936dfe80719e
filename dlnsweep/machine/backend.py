"""Matplotlib as this package uses it: for files only, whatever a notebook or shell has chosen.

MPLBACKEND names a module of the notebook's own, or a window system, that need not exist in the
process that draws; matplotlib then refuses to be imported at all.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from dlnsweep.errors import FigureError

_BACKEND = "MPLBACKEND"


def load_matplotlib() -> None:
    """Import matplotlib, and leave the choice of its backend as if the user had imported it.

    Raises:
        FigureError: Matplotlib cannot be imported.
    """
    if "matplotlib" in sys.modules:
        return
    wanted = os.environ.pop(_BACKEND, None)
    try:
        import matplotlib
    # Its own settings file can break it in many ways.
    except Exception as error:
        raise FigureError(
            f"matplotlib cannot be loaded ({type(error).__name__}: {error}); mend it, or the "
            "matplotlibrc that it reads."
        ) from error
    finally:
        if wanted is not None:
            os.environ[_BACKEND] = wanted
    if wanted:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = wanted
