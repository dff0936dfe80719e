"""The figures of a sweep file: read, and checked against what the sweep records and varies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.sentences import printable
from dlnsweep.spec.figures.check import check
from dlnsweep.spec.figures.reading import read_table, same_files, tables_of
from dlnsweep.spec.space import Space


def read_figures(
    given: Any,
    space: Space,
    settings: Sequence[str],
    varying: Sequence[str] | None,
    seeds: Sequence[int],
) -> tuple[tuple[Any, ...], list[str]]:
    """Return the figures of a sweep file, and what is wrong with them as sentences.

    Args:
        given: What the file holds under figure.
        space: The values of the settings, as far as they are right.
        settings: All settings, and "seed".
        varying: Those with several values; None where some settings are wrong, so that it is not
            known which.
        seeds: The seeds.
    """
    figures, problems = [], []
    for place, table in tables_of(given):
        figure, found = read_table(table, place)
        figures.append(figure)
        if figure is not None and "record.observables" in space.values:
            names = list(space.values["record.observables"][0])
            if set(names) - OBSERVABLES.keys():
                # What was meant is not known: a figure of it is no further mistake.
                names += OBSERVABLES
            vectors = [n for n in names if n in OBSERVABLES and OBSERVABLES[n].size is not None]
            right = varying is not None
            values = {**space.values, "seed": seeds} if right else space.values
            axes = space.axes if right else ()
            found += check(figure, names, settings, vectors, varying, place, values, axes)
        problems += map(printable, found)
    problems += map(printable, same_files(figures))
    return tuple(figures), problems
