"""Several sweeps in one figure: what that cannot be, and runs with numbers for ids."""

from __future__ import annotations

from typing import Any

from dlnsweep.contracts.figure import kind_of
from dlnsweep.errors import SpecError
from dlnsweep.results.joined import SWEEP, Joined, Numbered
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.sentences import printable


def ready_to_draw(results: Any, figure: Any) -> Any:
    """Return results as a figure reads them: those of one sweep as they are.

    Raises:
        SpecError: If the figure is of one sweep only, or would count runs twice.
    """
    if not isinstance(results, Joined):
        return results
    kind = kind_of(figure)
    of_one = [f"kind is '{kind.name}'"] * kind.of_one_sweep
    of_one += ["band is 'until'"] * (getattr(figure, "band", "") == "until")
    names = printable(results.name, 200)
    if of_one:
        raise SpecError(
            f"figure.{of_one[0]}, which is of one sweep, but {len(results.parts)} are given "
            f"({names}); draw a figure of each."
        )
    levels = "record.noise_levels"
    if kind.axis(figure) == "noise" and levels not in results.sweep["sweep"]["shared"]:
        raise SpecError(
            f"figure.kind is '{kind.name}', but {levels} is not the same in all sweeps ({names}); "
            "draw a figure of each."
        )
    axes = [getattr(figure, key, None) for key in ("x", "y")]
    one = len(figure.where.get(SWEEP, ())) == 1
    if results.num_shared and not one and SWEEP not in [*axes, *shown_by(figure).values()]:
        raise SpecError(f"figure: {results.twice()} tell the sweeps apart: hue = 'sweep'.")
    return Numbered(results)
