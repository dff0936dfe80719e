"""`[[sweep.block]]`: several blocks of axes, whose runs are joined.

    [[sweep.block]]
    network.depth = 2
    network.width = [32, 64, 128]

    [[sweep.block]]
    network.depth = 3
    network.width = [16, 32]

Within a block axes cross. Together the settings that blocks name are one axis, crossed with all
others; where a block does not name one of them, it has the value of its section, or the default.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlnsweep.contracts.keys import may_vary
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sentences import did_you_mean, show_key
from dlnsweep.spec.axes import num_values, read_setting


@dataclass(frozen=True)
class Blocks:
    """The blocks of a sweep file.

    Attributes:
        tables: The values that each block gives, by dotted key.
        keys: All keys that any block names, in the file's order.
    """

    tables: tuple[Mapping[str, Sequence[Any]], ...] = ()
    keys: tuple[str, ...] = ()

    def columns(self, values: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
        """Return the values of each key in all rows of the blocks, each row once.

        Args:
            values: What a section gives for the keys that some blocks do not name.
        """
        rows = dict.fromkeys(
            row
            for table in self.tables
            for row in itertools.product(*(table.get(key) or values[key] for key in self.keys))
        )
        return dict(zip(self.keys, zip(*rows, strict=True), strict=True))


def tables_of(raw: Any, sections: Collection[str]) -> list[dict[str, Any]]:
    """Return what each block gives by dotted key; TOML has `network.depth = 2` as a table."""
    found = []
    for table in raw if isinstance(raw, list) else ():
        found.append(dict(_flat(table, sections)) if isinstance(table, dict) else {})
    return found


def _flat(table: Mapping[str, Any], sections: Collection[str]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in table.items():
        inside = key in sections and isinstance(value, dict)
        flat += [(f"{key}.{k}", v) for k, v in value.items()] if inside else [(key, value)]
    return flat


def num_rows(tables: Sequence[Mapping[str, Any]]) -> int:
    """Return how many rows blocks have at most, without making them."""
    return sum(math.prod(map(num_values, table.values())) for table in tables) or 1


def read_blocks(
    raw: Any, classes: Mapping[str, type[Settings]], known: Sequence[str], expand: bool
) -> tuple[Blocks, list[str]]:
    """Read the blocks of a sweep file; returns what is wrong with them as sentences, too.

    Args:
        raw: What the file holds under [sweep], block.
        classes: The settings class of each section.
        known: All settings.
        expand: Whether to make all values of a range.
    """
    if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
        # The section's own reading says so.
        return Blocks(), []
    problems = [] if raw else ["sweep.block is empty; give a [[sweep.block]], or leave it out."]
    tables = []
    for i, table in enumerate(tables_of(raw, classes)):
        place = f"sweep.block[{i}]"
        found: dict[str, Sequence[Any]] = {}
        problems += [] if table else [f"{place} is empty; it must name a setting or several."]
        for key, count in Counter(key for key, _ in _flat(raw[i], classes)).items():
            problems += [f"{place} names {show_key(key)} twice; name it once."] * (count > 1)
        for key, value in table.items():
            if wrong := _wrong_key(key, value, classes, known):
                problems.append(f"{place} {wrong}")
                continue
            section, _, name = key.partition(".")
            there = f"{place}: {key}"
            if not _is_read(key, classes):
                # It is another kind's: which kind this file has is said elsewhere.
                continue
            found[key], _, more = read_setting(classes[section], name, value, there, expand=expand)
            problems += more
        tables.append(found)
    keys = tuple(dict.fromkeys(key for table in tables for key in table))
    # What is wrong in one is not joined with the others.
    return Blocks(() if problems else tuple(tables), keys), problems


def _wrong_key(
    key: str, value: Any, classes: Mapping[str, type[Settings]], known: Sequence[str]
) -> str:
    """Return what is wrong with a key of a block, as the end of a sentence."""
    if key not in known or key.startswith("sweep."):
        hint = did_you_mean(key, [each for each in known if not each.startswith("sweep.")])
        return f"names '{show_key(key)}', which is not a setting of a run{hint}"
    section, _, name = key.partition(".")
    if _is_read(key, classes) and not may_vary(classes[section], name):
        return f"names {key}, which is the same for all runs of a file."
    if isinstance(value, dict) and ("formula" in value or "sample" in value):
        what = "formula" if "formula" in value else "sample"
        return f"has a {what} for {key}; it must be a value, a list or a range."
    return ""


def _is_read(key: str, classes: Mapping[str, type[Settings]]) -> bool:
    """Return whether a setting is one of the kinds that the file names, as far as they are known.

    Where the problem's kind is wrong, all settings of all kinds are known.
    """
    section, _, name = key.partition(".")
    return section in classes and name in classes[section].model_fields


def check_columns(
    blocks: Blocks,
    values: Mapping[str, Sequence[Any]],
    given: Collection[str],
    elsewhere: Mapping[str, str],
) -> Iterator[str]:
    """Check that each key of the blocks has one value where a block does not name it.

    Args:
        blocks: The blocks.
        values: The values of the sections, as far as they are right.
        given: The settings that sections give.
        elsewhere: For each setting that may not be named here, what it is.
    """
    for key in blocks.keys if blocks.tables else ():
        if what := elsewhere.get(key):
            yield f"sweep.block names {key}, {what}; name it in one place."
            continue
        without = [i for i, table in enumerate(blocks.tables) if key not in table]
        if not without and key in given:
            yield (
                f"{key} is given, but every [[sweep.block]] has values of its own for it; leave "
                "it out of its section."
            )
        elif without and len(values.get(key, ())) > 1:
            yield (
                f"sweep.block[{without[0]}] does not name {key}, which has several values in its "
                "section; give it in each block, or one value there."
            )
        elif without and key not in values:
            yield (
                f"sweep.block[{without[0]}] does not name {key}, as others do, and its section "
                "has no value for it: give it there, or in each block."
            )
