"""[sweep.until] in a sweep file: what is wrong with it, and what is compared with what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.sentences import did_you_mean, show
from dlnsweep.settings.until import Until
from dlnsweep.spec.space import Space

Row = tuple[Any, ...]


def check_until(
    values: Mapping[str, Sequence[Any]], space: Space, known: Sequence[str]
) -> Iterator[str]:
    """Check what [sweep.until] says.

    Args:
        values: The values of the settings that are right.
        space: The combinations of the settings.
        known: All settings.
    """
    until: Until | None = values.get("sweep.until", (None,))[0]
    if until is None:
        return
    if values.get("sweep.refine", (None,))[0] is not None:
        yield "sweep.until and sweep.refine are both given; take one of them in a file."
    yield from _check_seeds(values.get("sweep.seeds", (2,))[0], until)
    yield from _check_estimated(values, until)
    named = list(_check_named(values, space, known, until))
    yield from named
    if named:
        return
    keys = [key for axis in space.axes for key in axis]
    rows = list(space.rows(keys))
    if until.against:
        yield from _check_against(keys, rows, until)
    elif until.difference != "pairs":
        yield (
            "sweep.until.difference is given, but sweep.until.against is not; name what to compare "
            "with."
        )
    if until.where and not any(is_asked(keys, row, until) for row in rows):
        yield "sweep.until.where selects no combination; give values that meet in one."
    most, allowed = len(rows) * until.most_seeds, values.get("sweep.max_runs", (0,))[0]
    if most > allowed > 0:
        yield (
            f"sweep.until may take {most} runs, {until.most_seeds} seeds in {len(rows)} "
            f"combinations, but at most {allowed} are allowed; give fewer seeds, or raise "
            "sweep.max_runs."
        )


def _check_seeds(seeds: Any, until: Until) -> Iterator[str]:
    if not isinstance(seeds, int):
        yield (
            "sweep.seeds is a list or a range, but sweep.until adds seeds to 0, 1, 2, ...; give "
            "the number of seeds to begin with."
        )
    elif seeds < 2:
        yield (
            "sweep.seeds is 1, of which there is no interval; give sweep.until several seeds to "
            "begin with, such as 10."
        )
    elif seeds > until.most_seeds:
        yield (
            f"sweep.until.most_seeds is {until.most_seeds}, fewer than sweep.seeds, {seeds}, from "
            "which rounds begin."
        )


def _check_estimated(values: Mapping[str, Sequence[Any]], until: Until) -> Iterator[str]:
    place = "sweep.until"
    if (until.observable is None) == (until.success is None):
        found = "neither observable nor success" if until.success is None else "both"
        yield f"{place} names {found}; it must name one of observable and success."
        return
    names = values.get("record.observables", ((),))[0] or ()
    scalars = [name for name in names if name in OBSERVABLES and OBSERVABLES[name].size is None]
    asked = [until.observable] if until.success is None else [e.observable for e in until.success]
    for name in asked:
        if name not in scalars:
            yield (
                f"{place} names {show(name)}; it must be a recorded scalar observable: "
                f"{', '.join(scalars) or 'none is recorded'}."
            )
    if until.success is not None and until.relative:
        yield f"{place}.relative is true, but the width of a probability is absolute; leave it out."
    if until.success is not None and until.against:
        yield f"{place}.against is for an observable's median; leave it out, or name an observable."
    if until.success is not None and until.width >= 1:
        yield f"{place}.width is {until.width:g}; of a probability it must be below 1."


def _check_named(
    values: Mapping[str, Sequence[Any]], space: Space, known: Sequence[str], until: Until
) -> Iterator[str]:
    keys = [key for axis in space.axes for key in axis]
    for table, asked in (("against", until.against), ("where", until.where)):
        for key, wanted in asked.items():
            place = f"sweep.until.{table} names {show(key)}"
            if key not in known:
                yield f"{place}, which is not a setting{did_you_mean(key, known)}"
            elif key not in values:
                continue
            elif key not in keys:
                yield f"{place}, which is no axis of this file; name a setting with several values."
            elif absent := [each for each in wanted if each not in values[key]]:
                there = ", ".join(map(show, dict.fromkeys(values[key])))
                yield f"{place} with {show(absent[0])}, but its values are {there}."
            elif table == "against" and len(wanted) > 1:
                yield f"{place} with several values; give the one to compare with."


def _check_against(keys: Sequence[str], rows: Sequence[Row], until: Until) -> Iterator[str]:
    there = set(rows)
    for row in rows:
        if (base := compared_with(keys, row, until)) not in there:
            shown = ", ".join(f"{k} = {show(v)}" for k, v in zip(keys, base, strict=True))
            yield (
                f"sweep.until.against asks for the combination of {shown}, which this file does "
                "not have; name all settings that move together."
            )
            return


def compared_with(keys: Sequence[str], row: Row, until: Until) -> Row:
    """Return the combination that one is compared with.

    Args:
        keys: The settings that vary.
        row: Their values in the combination.
        until: Says with which others it is compared.
    """
    # None, what it does not use, it has not got in another way either.
    return tuple(
        until.against[key][0] if key in until.against and value is not None else value
        for key, value in zip(keys, row, strict=True)
    )


def is_asked(keys: Sequence[str], row: Row, until: Until) -> bool:
    """Return whether an interval is asked of a combination; as for `compared_with`."""
    chosen = all(
        value is None or value in until.where[key]
        for key, value in zip(keys, row, strict=True)
        if key in until.where
    )
    return chosen and not (until.against and compared_with(keys, row, until) == row)
