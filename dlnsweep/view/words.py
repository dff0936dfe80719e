"""Texts of figures as the page shows them: nothing in them is markup but what is written here.

Plotly reads a few HTML tags in labels, and a browser would in a page. Names and values come from
folders that nobody vouches for, so each text is escaped, and only then gets its own indices.
"""

from __future__ import annotations

import html
import re

from dlnsweep.settings.sentences import printable

_LONGEST = 1000
_SCRIPT = re.compile(r"([\^_])(?:\{([^{}]*)\}|(\w))")
_COMMANDS = {r"\times": "×", r"\,": " ", r"\infty": "∞", r"\pm": "±", r"\cdot": "·"}
_MATHS = re.compile(r"(?<!\\)\$((?:\\.|[^$\\])*)(?<!\\)\$")


def escaped(text: str) -> str:
    """Return a text in which no character is markup, for Plotly's labels."""
    return html.escape(printable(str(text)[:_LONGEST]), quote=True)


def words(text: str) -> str:
    """Return a label of Matplotlib's for Plotly: simple formulas with indices, others left out."""
    text, parts, last = text[:_LONGEST], [], 0
    for found in _MATHS.finditer(text):
        parts += [escaped(_dollars(text[last : found.start()])), _formula(found[1])]
        last = found.end()
    parts.append(escaped(_dollars(text[last:])))
    return re.sub(r" {2,}", " ", "".join(parts)).strip()


def plain_words(text: str) -> str:
    """Return a label of Matplotlib's as plain text, for the page itself, which escapes it."""
    shown = re.sub(r"<sub>(.*?)</sub>", r"_\1", words(text))
    shown = re.sub(r"<sup>(.*?)</sup>", lambda m: _raised(m[1]), shown)
    return html.unescape(shown)


def _dollars(text: str) -> str:
    return text.replace(r"\$", "$")


def _formula(inside: str) -> str:
    inside = re.sub(r"\\math(?:rm|bf|it)\{([^{}]*)\}", r"\1", inside)
    for command, sign in _COMMANDS.items():
        inside = inside.replace(command, sign)
    if "\\" in inside or inside.count("{") > 6:
        return ""
    shown = escaped(inside).replace("\n", " ")
    return _SCRIPT.sub(lambda m: _script(m[1], m[2] if m[2] is not None else m[3]), shown)


def _script(kind: str, what: str) -> str:
    tag = "sup" if kind == "^" else "sub"
    return f"<{tag}>{what}</{tag}>"


_RAISED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def _raised(text: str) -> str:
    return text.translate(_RAISED) if re.fullmatch(r"[\d+-]+", text) else f"^{text}"
