"""Pictures by night: their colours on dark paper, as rules for the style of a page."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dlnsweep.figures.night import by_night
from dlnsweep.report.svg import AS_DRAWN

_NAMED = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')


def rules_by_night(pictures: Iterable[str]) -> str:
    """Return the style that gives pictures their colours on dark paper.

    Args:
        pictures: SVG, of `inline_svg`.
    """
    found = sorted({pair for picture in pictures for pair in _NAMED.findall(picture)})
    lines = [
        f'  .night [{name}="{colour}"]:not(.{AS_DRAWN} *) {{ {name}: {by_night(colour)}; }}'
        for name, colour in found
    ]
    if not lines:
        return ""
    return "\n".join(["@media screen and (prefers-color-scheme: dark) {", *lines, "}", ""])
