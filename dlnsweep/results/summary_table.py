"""The table of a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlnsweep.results.joined import SWEEP, Joined
from dlnsweep.settings.at import typed

if TYPE_CHECKING:
    import pandas as pd

    from dlnsweep.results import Results


def summary_table(
    results: Results | Joined,
    by: Sequence[str] | None,
    at: str,
    of: Sequence[str] = (),
    pivot: str = "",
) -> pd.DataFrame:
    """Return medians and quartiles of all scalar observables.

    Args:
        results: Of one sweep, or of several.
        by: The settings to group by; all that vary by default, of several the sweep first.
        at: "final", "min", "argmin", "minimise=NAME", or a step as text.
        of: The observables; all that are numbers by default.
        pivot: A setting to group by in any case.

    Raises:
        SpecError: If `by`, `of`, `pivot` or `at` names what there is not.
    """
    groups = list(by) if by else _default(results, pivot)
    if pivot and pivot not in groups:
        groups.append(pivot)
    key, _, name = at.partition("=")
    when: Any = {"minimise": name.strip()} if key.strip() == "minimise" and name else typed(at)
    table = results.summary(by=groups, observable=list(of) or None, at=when)
    kept = [*groups, "num_runs", "num_diverged", "num_planned_missing"]
    kept += [name for name in table.columns if name.endswith(("_q25", "_median", "_q75"))]
    return table.loc[:, [name for name in kept if name in table.columns]]


def _default(results: Results | Joined, pivot: str) -> list[str]:
    """Return the settings to group by where none are named."""
    if not isinstance(results, Joined):
        return results.varying or ["network.depth"]
    if pivot != SWEEP:
        return [SWEEP, *results.varying]
    # In what sweeps differ as wholes their values do not share a row.
    within = [key for part in results.parts.values() for key in part.varying]
    return [SWEEP, *dict.fromkeys(within)]
