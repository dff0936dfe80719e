r"""A summary as text: CSV and JSON with every digit; Markdown and LaTeX to be read.

What comes from a results folder is text there and nothing else: no formula of a spreadsheet, no
command of LaTeX, no tag of a page.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dlnsweep.results.csv_files import csv_text
from dlnsweep.results.pivoted import cells_of, known, observables_of, pivoted

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    # Else a quick hand makes ligatures of them, or a font without them other letters.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    # At the start of a row they would be arguments of the line before it: \\[2pt], \\*.
    "[": "{[}",
    "*": "{*}",
}
# What symbols of settings have beside letters: β₁ and ‖M‖.
_SIGNS = {"‖": r"\|", **{chr(0x2080 + digit): f"_{{{digit}}}" for digit in range(10)}}
# Brackets make a link only where another one follows, and underscores stress only whole words.
_MARKDOWN = re.compile(r"([\\`*{}<>|~#$&]|(?<!\w)_|_(?!\w)|(?<=\])[(\[])")

_COUNTS = {"num_runs": "runs", "num_diverged": "diverged", "num_planned_missing": "not done"}

# Of settings of many digits.
_LEAST_DIGITS = 4

Rows = list[list[str]]


@dataclass(frozen=True)
class Style:
    """How the parts of a table that is to be read are written.

    Attributes:
        number: A statistic.
        words: The name of a setting or an observable.
        text: A value of a setting, or a remark.
    """

    number: Callable[[float], str]
    words: Callable[[str], str] = str
    text: Callable[[str], str] = str


def exact(table: pd.DataFrame, keys: Sequence[str], pivot: str, form: str) -> str:
    """Return a summary as CSV or JSON, with every digit.

    Args:
        table: As `summary_table` returns it.
        keys: The settings that it is grouped by.
        pivot: The one whose values become columns; empty for none.
        form: "csv" or "json".
    """
    if pivot:
        table = pivoted(table, keys, pivot, lambda value: f"{pivot}={_shown(value)}")
    if form == "csv":
        return csv_text(table)
    rows = [
        {name: _finite(known(value)) for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    return json.dumps(rows, indent=1, allow_nan=False) + "\n"


def readable(
    table: pd.DataFrame, keys: Sequence[str], pivot: str, style: Style
) -> tuple[list[str], Rows]:
    """Return a summary with median and quartiles in one cell: its head and its rows.

    Args:
        table: As `summary_table` returns it.
        keys: The settings that it is grouped by.
        pivot: The one whose values become columns; empty for none.
        style: How its parts are written.
    """
    words, number = style.words, style.number
    observables = observables_of(table)
    if not pivot:
        counts = [name for name in _COUNTS if name == "num_runs" or table[name].to_numpy().any()]
        shown = _shown_of(table, keys)
        rows = [
            [
                *(style.text(shown[key][known(row[key])]) for key in keys),
                *(str(int(row[name])) for name in counts),
                *(_cell(row, name, number) for name in observables),
            ]
            for row in table.to_dict("records")
        ]
        named = [_COUNTS[name] for name in counts]
        return [*map(words, keys), *named, *map(words, observables)], rows
    rest = [key for key in keys if key != pivot]
    cells = cells_of(table, rest, pivot)
    several = len(observables) > 1
    shown = _shown_of(table, keys)
    rows = [
        [
            *([words(name)] if several else []),
            *(style.text(shown[key][value]) for key, value in zip(rest, group, strict=True)),
            *(
                _cell(found[value], name, number) + style.text(_left_out(found[value]))
                if value in found
                else ""
                for value in cells.values
            ),
        ]
        for name in observables
        for group, found in cells.groups.items()
    ]
    head = [*(["observable"] if several else []), *map(words, rest)]
    over = [f"{words(pivot)} = {style.text(shown[pivot][value])}" for value in cells.values]
    return [*head, *over], rows


def markdown(head: Sequence[str], rows: Rows) -> str:
    """Return a table as GitHub's and most other dialects of Markdown take it."""
    lines = [[_in_markdown(cell) for cell in row] for row in [head, *rows]]
    lines.insert(1, ["---"] * len(head))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(head: Sequence[str], rows: Rows) -> str:
    """Return a table for LaTeX's package booktabs; its cells are LaTeX already."""
    body = [f"{' & '.join(row)} \\\\" for row in rows]
    return "\n".join(
        [
            r"\begin{tabular}{" + "l" * len(head) + "}",
            r"\toprule",
            f"{' & '.join(head)} \\\\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def latex_style(label: Callable[[str], str], digits: int) -> Style:
    """Return how a table is written for LaTeX.

    Args:
        label: The words of a setting or an observable, with formulas between dollar signs.
        digits: Significant digits.
    """

    def words(name: str) -> str:
        # A definition has no such name, so its dollar signs are no formula's.
        parts = [name] if "$" in name else label(name).split("$")
        return "$".join(_greek(p) if i % 2 else latex_text(p) for i, p in enumerate(parts))

    return Style(lambda value: _latex_number(value, digits), words, latex_text)


def latex_text(text: str) -> str:
    """Return a text for LaTeX, in which no character does anything."""
    return "".join(_LATEX.get(c, c if c.isprintable() else " ") for c in text)


def _greek(formula: str) -> str:
    """Return a formula with commands for what not every engine knows: Greek letters, and signs."""
    return "".join(
        _greek_letter(c) if "\u0370" <= c <= "\u03ff" else _SIGNS.get(c, c) for c in formula
    )


def _greek_letter(letter: str) -> str:
    words = unicodedata.name(letter, "").split()
    if words[:1] != ["GREEK"] or len(words) != 4:
        return letter
    name = words[-1].replace("LAMDA", "LAMBDA").lower()
    return f"\\{name if words[1] == 'SMALL' else name.capitalize()} "


def _latex_number(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return rf"${mantissa} \times 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"


def _cell(row: dict[str, Any], name: str, number: Callable[[float], str]) -> str:
    median, low, high = (known(row[f"{name}{end}"]) for end in ("_median", "_q25", "_q75"))
    if median is None:
        return "-"
    # Of one run, or of runs that are alike, there is nothing more to say.
    if low == median == high or low is None or high is None:
        return number(median)
    return f"{number(median)} [{number(low)}, {number(high)}]"


def _left_out(row: dict[str, Any]) -> str:
    """Return how many runs of a group enter no statistic; empty if all do."""
    counts = {"diverged": row["num_diverged"], "not done": row["num_planned_missing"]}
    told = [f"{int(count)} {word}" for word, count in counts.items() if count]
    return f" ({', '.join(told)} of {int(row['num_runs'])})" if told else ""


def _shown_of(table: pd.DataFrame, keys: Sequence[str]) -> dict[str, dict[Any, str]]:
    """Return how the values of each setting are written where they are to be read.

    Numbers of many digits, as those of a logarithmic grid, have as few as tell a setting's values
    apart, four at least; a value of an axis is no measurement, and is in the sweep file.
    """
    shown = {}
    for key in keys:
        values = {known(value) for value in table[key]}
        exact = {value: _shown(value) for value in values}
        shown[key] = exact
        for digits in range(_LEAST_DIGITS, 17):
            short = {value: _rounded(value, digits) for value in values}
            if len(set(short.values())) == len(set(exact.values())):
                shown[key] = short
                break
    return shown


def _rounded(value: Any, digits: int) -> str:
    return _shown(float(f"{value:.{digits}g}") if isinstance(value, float) else value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    """Return a value as JSON can hold it: what is not finite as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _in_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", "".join(c if c.isprintable() else " " for c in text))
