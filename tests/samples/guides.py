"""Blocks of code of the guides, as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dlnsweep" / "guide"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block, and the heading below which it stands."""

    heading: str
    kind: str
    text: str


def blocks_of(file: Path) -> list[Block]:
    """Return the fenced blocks of a text, from its beginning."""
    text = file.read_text(encoding="utf-8")
    found, outside, at = [], "", 0
    for match in _FENCE.finditer(text):
        # Comments in blocks are no headings.
        outside += text[at : match.start()]
        at = match.end()
        headings = re.findall(r"^#{1,3} (.*)$", outside, flags=re.MULTILINE)
        found.append(Block(headings[-1] if headings else "", match[1], match[2]))
    return found


def block(guide: str, heading: str, kind: str) -> str:
    """Return the first block of a kind directly below a heading of a guide."""
    for one in blocks_of(FOLDER / f"{guide}.md"):
        if (one.heading, one.kind) == (heading, kind):
            return one.text
    raise LookupError(f"{guide}.md has no {kind} block below {heading!r}")
