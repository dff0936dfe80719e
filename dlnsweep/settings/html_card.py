"""A card for a notebook: a few facts as HTML, in the notebook's own colours, light or dark."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from dlnsweep.settings.sentences import printable

_LONGEST, _LONGEST_NAME = 300, 60
_MOST_ROWS = 14
_CARD = (
    "display:flex;flex-wrap:wrap;gap:1.2em;align-items:flex-start;max-width:60em;"
    "border:1px solid rgba(128,128,128,.35);border-radius:6px;padding:.9em 1.1em;margin:.3em 0"
)
# A notebook's own style of tables is told what this one wants.
_CELL = "text-align:left;vertical-align:top;border:0;padding:.12em 1.1em .12em 0;background:none"


def html_card(name: str, source: str, rows: Iterable[tuple[str, str]], image: str = "") -> str:
    """Return a card; every text in it is escaped, and cut where it is long.

    Args:
        name: What stands above.
        source: What stands below that, smaller.
        rows: What the card says: words and their values.
        image: A PNG in base 64, to be shown beside; empty for none.
    """
    shown = list(rows)
    if len(shown) > _MOST_ROWS:
        rest = len(shown) - _MOST_ROWS + 1
        shown = [*shown[: _MOST_ROWS - 1], ("…", f"and {rest} more")]
    lines = "".join(
        '<tr style="background:none">'
        f'<td style="{_CELL};opacity:.65;white-space:nowrap">'
        f"{_text(what, _LONGEST_NAME)}</td>"
        f'<td style="{_CELL};overflow-wrap:anywhere">{_text(how)}</td></tr>'
        for what, how in shown
    )
    below = f'<div style="opacity:.65;font-size:.9em">{_text(source)}</div>' if source else ""
    picture = (
        f'<img alt="" style="max-width:17em;background:#fff;border-radius:4px" '
        f'src="data:image/png;base64,{image}">'
        if image
        else ""
    )
    return (
        f'<div style="{_CARD}"><div style="flex:1 1 24em;min-width:0">'
        f'<div style="font-weight:600;font-size:1.15em;overflow-wrap:anywhere">{_text(name)}</div>'
        f'{below}<table style="margin:.5em 0 0;border:0;border-collapse:collapse">'
        f"<tbody>{lines}</tbody></table></div>{picture}</div>"
    )


def _text(text: str, longest: int = _LONGEST) -> str:
    return escape(printable(text, longest))
