"""A kept text beside its tables.

A text (README.md, dlnsweep/guide/*.md, results/kept/**/README.md) is cut into sections by its
headings of level two. A Part says of one section what its numbers are: statements, each a piece of
the section's own words with {} for every number that the tables give, and settings, pieces whose
numbers are no measurements. A number that neither covers is reported, and so is a piece that the
text no longer has. So a number cannot come into a text, or change in its table, unnoticed.

    yield says("half of the networks succeed at {} to {}", low, high)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kept.numbers import NUMBER, Value, fits

ROOT = Path(__file__).parents[2]
GUIDES = "dlnsweep/guide"

_LETTERS = r"[A-Za-z_α-ωΑ-Ω]"
# Digits that are no numbers: names, and places in papers, pages and programs.
_NAMES = (
    r"```.*?```",
    r"`[^`]*`",
    r"^    \S.*?$",
    r"\]\([^)]*\)",
    r"<!--.*?-->",
    r"\b\d{4}\.\d{5}\b",
    r"https?://\S+",
    r"(?:Figure|Theorem|Corollary|Lemma|Remark|Appendix|Assumption|Equation|section|version)s? "
    r"(?:[A-Z]\.)?\d+(?:\.\d+)*[a-z]?(?:(?:,| and| to|,? or) (?:(?:Figure|Lemma|Theorem)s? )?"
    r"(?:[A-Z]\.)?\d+(?:\.\d+)*[a-z]?\b(?! ?[%λ]))*",
    r"\b[A-Z]\.\d+\b",
    # Of a network, or a run: "depth 3 and 4", "L = 2 to 5", "seed 7".
    r"\b(?:depths?|seeds?|L =) \d+\b(?:(?:,| and| to|,? or) \d\b(?! ?%))*",
    # Of a publication.
    r"\b[A-Z]\w+ (?:19|20)\d\d\b",
    # An equation: (8), (59a).
    r"\(\d{1,2}[a-z]?\)",
    # W_1, float64, p4.
    _LETTERS + r"\d+",
)


@dataclass(frozen=True)
class Statement:
    """A piece of a text, and the values of its holes."""

    words: str
    values: tuple[Value, ...]


def says(words: str, *values: Value) -> Statement:
    """State that the text has these words, with these values in place of each {}."""
    if words.count("{}") != len(values):
        raise ValueError(f"{words!r} has {words.count('{}')} holes for {len(values)} values")
    return Statement(words, values)


@dataclass(frozen=True)
class Part:
    """What one section of a text says.

    Attributes:
        file: The text, from the repository's root.
        section: Its heading; "" for what stands above the first one.
        statements: Yields what the tables give.
        settings: Pieces of the text whose numbers are settings, dates and the like.
    """

    file: str
    section: str
    statements: Callable[[], Iterable[Statement]] = tuple
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.file} # {self.section}"


def sections(file: str) -> dict[str, str]:
    """Return the sections of a text by heading, what stands above the first one under ""."""
    inside, found, heading = False, {"": ""}, ""
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines(keepends=True):
        inside ^= line.startswith("```")
        if line.startswith("## ") and not inside:
            heading = line[3:].strip()
            found[heading] = ""
        else:
            found[heading] += line
    return found


def without_names(section: str) -> str:
    """Return a section on one line, names blanked."""
    for name in _NAMES:
        section = re.sub(
            name, lambda found: _blank(found.group()), section, flags=re.DOTALL | re.MULTILINE
        )
    return section


def _blank(piece: str) -> str:
    return re.sub(r"\d", "#", piece)


def _pattern(words: str) -> re.Pattern[str]:
    pieces = re.split(r"(\{\}|\s+)", words.strip())
    made = {"{}": f"({NUMBER})"}
    body = "".join(r"\s+" if not p.strip() and p else made.get(p, re.escape(p)) for p in pieces)
    # Whole numbers at both ends: "c = 1" is not in "c = 1/16".
    start = r"(?<![\d.])" if re.match(r"\d|\{", words) else ""
    end = r"(?![\d/]|\.\d)" if re.search(r"(?:\d|\})$", words) else ""
    return re.compile(start + body + end)


def faults(part: Part, section: str) -> Iterator[str]:
    """Yield, in sentences, what of a section does not follow from the tables."""
    covered = [False] * len(section)
    for statement in part.statements():
        yield from _wrong(statement, section, covered)
    for piece in part.settings:
        found = list(_pattern(piece).finditer(section))
        if not found:
            yield f"the settings name {piece!r}, which the text does not have"
        for match in found:
            _cover(covered, match.span())
    for match in re.finditer(NUMBER, without_names(section)):
        start = match.start() + (match.group()[0] in "-−")
        if not all(covered[start : match.end()]):
            start, end = match.span()
            around = " ".join(section[max(0, start - 40) : end + 40].split())
            yield f"no statement covers {match.group()} in '... {around} ...'"


def _wrong(statement: Statement, section: str, covered: list[bool]) -> Iterator[str]:
    found = list(_pattern(statement.words).finditer(section))
    if len(found) != 1:
        filled = statement.words
        for value in statement.values:
            filled = filled.replace("{}", f"<{value}>", 1)
        yield f"the text has {len(found)} times (must be once): {filled!r}"
        return
    _cover(covered, found[0].span())
    for printed, value in zip(found[0].groups(), statement.values, strict=True):
        if not fits(printed, value):
            around = " ".join(found[0].group().split())
            yield f"the text says {printed}, the table {value}: {around!r}"


def _cover(covered: list[bool], span: tuple[int, int]) -> None:
    covered[span[0] : span[1]] = [True] * (span[1] - span[0])
