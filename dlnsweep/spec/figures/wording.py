"""Texts of the user's in a figure: which can be drawn, found before anything runs.

Between two dollar signs stands mathematics, which matplotlib parses when it draws. It is loaded
here only for a text that has some, or signs that its font may lack.
"""

from __future__ import annotations

import re

_LONGEST = 500
# Up to here DejaVu has all of Latin and Greek, and punctuation and mathematics in these blocks.
_SURELY_KNOWN = re.compile("[\x20-\u03ff\u2010-\u22ff]*")


def why_not(text: str) -> str:
    """Return why a text cannot be drawn, as the end of a sentence; nothing if it can."""
    if not text.isprintable() or len(text) > _LONGEST:
        return f"it must be one line of at most {_LONGEST} characters."
    if "$" in text and (reason := _why_no_mathematics(text)):
        return f"{reason}; write \\$ for a dollar sign."
    if not _SURELY_KNOWN.fullmatch(text) and (missing := _unknown_signs(text)):
        return f"the font of figures (DejaVu Sans) has no {missing}."
    return ""


def drawable(text: str) -> str:
    """Return a text that can be drawn: as it is, or with its dollar signs as dollar signs."""
    return plain(text) if "$" in text and _why_no_mathematics(text) else text


def plain(text: str) -> str:
    """Return a text whose dollar signs are no mathematics."""
    return re.sub(r"(?<!\\)\$", r"\\$", text)


def _why_no_mathematics(text: str) -> str:
    from dlnsweep.machine.backend import load_matplotlib

    load_matplotlib()
    import matplotlib
    from matplotlib.cbook import is_math_text
    from matplotlib.mathtext import MathTextParser

    if not is_math_text(text):
        return ""
    with matplotlib.rc_context({"mathtext.fontset": "dejavusans", "text.usetex": False}):
        try:
            MathTextParser("path").parse(text)
        # A ValueError for what it does not know; deep nesting and odd signs raise others.
        except Exception as error:
            return f"its mathematics cannot be read ({_reason(error)})"
    return ""


def _reason(error: Exception) -> str:
    # Pyparsing lists its whole grammar first.
    unknown = re.search(r"Unknown symbol: \S+(?=,)", str(error))
    found = re.search(r"found (.*?) +\(at char (\d+)\)", str(error))
    if unknown:
        return unknown[0].lower()
    return f"{found[1]} at character {found[2]} of it" if found else type(error).__name__


def words_of_text(text: str) -> list[str]:
    """Return a text's words; mathematics, which may have spaces in it, is one."""
    return re.findall(r"(?:\\.|\$(?:\\.|[^$\\])*\$|[^ \\]|\\$)+", text)


def _unknown_signs(text: str) -> str:
    from dlnsweep.machine.backend import load_matplotlib

    load_matplotlib()
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return ", ".join(dict.fromkeys(c for c in text if not font.get_char_index(ord(c))))
