"""Which values of the settings a figure's `where` leaves; found before anything runs.

Imports neither matplotlib, pandas nor NumPy; values come as the sweep file or a folder has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.figure import FigureKind, kind_of
from dlnsweep.settings.figure_keys import shown_by

Values = Mapping[str, Sequence[Any]]
Axes = Sequence[tuple[str, ...]]

_MOST_LISTED = 8


def chosen(where: Values, values: Values, axes: Axes = ()) -> tuple[dict[str, Any], list[str]]:
    """Return the settings' values in the runs that `where` selects, and what is wrong with it.

    Args:
        where: The figure's `where`.
        values: The values of each setting, as far as they are known.
        axes: The settings that vary; those in one tuple move together.
    """
    found, problems = dict(values), []
    group_of = {name: group for group in axes for name in group}
    left: dict[tuple[str, ...], list[int]] = {}
    for name, wanted in where.items():
        if name not in values:
            continue
        there = values[name]
        absent = [each for each in wanted if each not in there]
        if len(absent) == len(wanted):
            problems.append(f"where selects no run: {name} is {_listed(there)} here.")
        elif absent:
            problems.append(f"where names {_listed(absent)}, but {name} is {_listed(there)} here.")
        group = group_of.get(name, (name,))
        if group == (name,):
            found[name] = [each for each in there if each in wanted]
            continue
        kept = left.get(group, list(range(len(there))))
        left[group] = [place for place in kept if there[place] in wanted]
    for group, places in left.items():
        if not places and not problems:
            problems.append(f"where selects no run: {', '.join(group)} move together.")
        for name in group:
            kept = [values[name][place] for place in places]
            found[name] = [each for i, each in enumerate(kept) if each not in kept[:i]]
    return found, problems


def _listed(values: Sequence[Any]) -> str:
    texts = [str(each) for each in values[:_MOST_LISTED]]
    more = f" and {len(values) - _MOST_LISTED} more" if len(values) > _MOST_LISTED else ""
    return ("one of " if len(values) > 1 else "") + ", ".join(texts) + more


def notes(
    figure: Any,
    values: Values,
    axes: Axes,
    prescribed: bool = False,
    prefix: str = "figure",
    told: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return what a user should know of a figure that can be drawn: sentences.

    A setting that varies and that nothing of the figure shows is mixed into its medians; a hue of
    one value tells nothing apart.

    Args:
        figure: The figure's settings.
        values: The values of each setting, "seed" among them.
        axes: The settings that vary; those in one tuple move together.
        prescribed: Whether a prescription sets some settings by the others.
        prefix: Where the figure stands in the file.
        told: For settings that are computed of others, and differ wherever one of those does:
            what these are.
    """
    kind = kind_of(figure)
    if not kind.mixes:
        return []
    left, _ = chosen(figure.where, values, axes)
    return [
        f"{prefix}: {sentence}"
        for sentence in _notes(figure, kind, left, axes, prescribed, told or {})
    ]


def _notes(
    figure: Any,
    kind: FigureKind,
    left: Values,
    axes: Axes,
    prescribed: bool,
    told: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    # It loads NumPy.
    from dlnsweep.theory.prescription import READS, SETS

    shown = {*shown_by(figure).values(), *(getattr(figure, key) for key in kind.axes(figure))}
    for key, name in shown_by(figure).items():
        follows = prescribed and name in SETS
        if not follows and len(left.get(name, (0, 0))) == 1:
            yield f"{key} is '{name}', which has one value in the runs that it draws."
    shown |= {name for key in shown for name in told.get(key or "", ())}
    hidden = [
        name
        for group in axes
        for name in group
        if len(left.get(name, ())) > 1 and not shown & {*group}
    ]
    if prescribed and shown & {*SETS}:
        hidden = [name for name in hidden if name not in READS]
    if hidden:
        listed = ", ".join(f"{name} ({len(left[name])} values)" for name in hidden)
        *most, last = [*kind.setting_keys, *filter(kind.has, ("hue", "panel_by"))]
        of = f"{', '.join(most)} nor {last}"
        yield f"its {kind.mixes} mix runs of every {listed}, which neither {of} shows."
