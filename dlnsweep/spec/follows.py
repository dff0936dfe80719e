"""Settings that follow from others of their section where a sweep file leaves them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from dlnsweep.settings.base import Constraint, Follows, Settings
from dlnsweep.settings.sentences import show


def followed(
    rule: Follows, columns: Sequence[Sequence[Any]], moves: Sequence[bool]
) -> tuple[Any, ...]:
    """Return what follows from each tuple of values; empty where something is wrong with one.

    Args:
        rule: The rule.
        columns: The values of each setting from which it follows.
        moves: Whether each of these is on the axis; else it has one value.
    """
    length = min((len(c) for c, moving in zip(columns, moves, strict=True) if moving), default=1)
    rows = [
        [c[i if moving else 0] for c, moving in zip(columns, moves, strict=True)]
        for i in range(length)
    ]
    found = tuple(rule.value(*row) for row in rows)
    return () if None in found else found


def follow_constraints(section: str, settings: type[Settings]) -> Iterator[Constraint]:
    """Yield that what is given though it follows from other settings must be what follows."""
    for key, rule in settings.follows.items():
        if rule.exact:
            keys = tuple(f"{section}.{each}" for each in (key, *rule.keys))
            yield Constraint(keys, partial(_holds, rule), partial(_sentence, rule, keys))


def _holds(rule: Follows, own: Any, *sources: Any) -> bool:
    return rule.value(*sources) in (None, own)


def _sentence(rule: Follows, keys: Sequence[str], own: Any, *sources: Any) -> str:
    by = " and ".join(
        f"{key} = {show(value)}" for key, value in zip(keys[1:], sources, strict=True)
    )
    return f"{keys[0]} is {show(own)}; by {by} it is {rule.value(*sources)}: leave it out."
