"""How many runs a sweep file asks for, told before anything is expanded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from dlnsweep.contracts.keys import may_vary
from dlnsweep.settings.base import Settings, with_integers
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.settings.sentences import show
from dlnsweep.spec.axes import num_seeds, num_values
from dlnsweep.spec.blocks import num_rows, tables_of
from dlnsweep.spec.samples import is_sample


def too_many_runs(
    document: Mapping[str, Any],
    classes: Mapping[str, type[Settings]],
    places: Iterable[tuple[str, str]],
) -> str:
    """Return a sentence if a file asks for too many runs; empty if it does not.

    Args:
        document: The sweep file.
        classes: The settings class of each section.
        places: The section and key of each setting that it gives.
    """
    given = {(section, key): document[section][key] for section, key in places}
    lengths = {
        f"{section}.{key}": num_values(raw)
        for (section, key), raw in given.items()
        if may_vary(classes[section], key)
    }
    options = document.get("sweep")
    options = options if isinstance(options, dict) else {}
    groups = options.get("zip")
    for group in groups if isinstance(groups, list) else ():
        zipped = [k for k in group if isinstance(k, str)] if isinstance(group, list) else []
        for key in zipped[1:]:
            lengths[zipped[0]] = max(lengths.get(zipped[0], 1), lengths.pop(key, 1))
    if any(map(is_sample, given.values())):
        lengths["sweep.samples"] = _integer(options.get("samples"), 1)
    if blocks := tables_of(options.get("block"), classes):
        lengths["sweep.block"] = num_rows(blocks)
    seeds = with_integers(int, options.get("seeds"))
    if isinstance(seeds, dict):
        seeds = num_seeds(seeds)
    lengths["sweep.seeds"] = max(seeds, 1) if isinstance(seeds, int) else num_values(seeds)
    most = _integer(options.get("max_runs"), SweepSettings.model_fields["max_runs"].default)
    count = math.prod(lengths.values())
    if count <= most:
        return ""
    longest = sorted(lengths.items(), key=lambda item: -item[1])[:3]
    listed = ", ".join(f"{key} {show(length)}" for key, length in longest if length > 1)
    return (
        f"the sweep has {show(count)} runs ({listed} values); at most {most} are allowed; give "
        "fewer values, or raise sweep.max_runs."
    )


def _integer(raw: Any, default: int) -> int:
    """Return a positive integer that a file gives; the default for what is wrong or missing."""
    found = with_integers(int, raw)
    return found if isinstance(found, int) and found >= 1 else default
