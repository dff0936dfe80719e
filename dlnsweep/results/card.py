"""What a notebook shows of results: a card with what varies, how far it is, and a small figure.

Nothing of it opens a batch's curves or outcomes, so that it is there at once for a million runs.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlnsweep.errors import StoreError
from dlnsweep.settings.figure_files import file_stems
from dlnsweep.settings.html_card import html_card
from dlnsweep.settings.sentences import duration, show
from dlnsweep.store import Store
from dlnsweep.store.layout import FIGURES

_MOST_KEYS = 8
_MOST_VALUES = 6
_PNG = b"\x89PNG\r\n\x1a\n"
# No figure of ours has more; what a stranger's file would become in memory is bounded.
_MOST_BYTES, _MOST_PIXELS = 8_000_000, 60_000_000
_WIDTH = 480


def results_card(store: Store, varying: Sequence[str]) -> str:
    """Return the card of a results folder.

    Args:
        store: The folder.
        varying: The settings that vary.
    """
    sweep = store.sweep
    rows = list(_rows(store, varying))
    return html_card(str(sweep["name"]), str(sweep.get("source") or ""), rows, thumbnail(store))


def _rows(store: Store, varying: Sequence[str]) -> Iterator[tuple[str, str]]:
    status = store.status(with_damage=True)
    left = status.planned - status.done
    yield "runs", f"{status.done:,} of {status.planned:,} done" if left else f"{status.done:,} done"
    ended = [f"{status.diverged:,} diverged"] if status.diverged else ["none diverged"]
    ended += [f"{status.stopped:,} stopped early"] if status.stopped else []
    yield "ended", ", ".join(ended) if status.done else "nothing is done yet"
    yield "computing", duration(status.seconds)
    if status.damaged:
        many = "s" * (len(status.damaged) > 1)
        told = f"{len(status.damaged):,} receipt{many}; `dlnsweep verify` tells what to do"
        yield "damaged", told
    for key in varying[:_MOST_KEYS]:
        yield key, _values(store, key)
    if len(varying) > _MOST_KEYS:
        yield "…", f"{len(varying) - _MOST_KEYS} more settings vary"
    yield "folder", str(store.root)


def _values(store: Store, key: str) -> str:
    found = [v for v in store.runs_table([key])[key].unique().to_pylist() if v not in (None, "")]
    shown = ", ".join(map(_value, found[:_MOST_VALUES]))
    return shown + (f", … ({len(found):,} values)" if len(found) > _MOST_VALUES else "")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else show(value)


def _named(sweep: dict[str, Any]) -> list[str]:
    """Return the files that the sweep's figures are drawn to, in the order of its file."""
    told = [(each.get("file"), each.get("kind")) for each in sweep["sweep"].get("figures", [])]
    texts = [(file if isinstance(file, str) else None, str(kind)) for file, kind in told]
    return [f"{stem}.png" for stem in file_stems([_Named(*each) for each in texts])]


@dataclass(frozen=True)
class _Named:
    """What of a figure names its files; the folder may be anybody's."""

    file: str | None
    kind: str


def thumbnail(store: Store) -> str:
    """Return the main figure of a folder, small, as PNG in base 64; empty if there is none.

    The main one is the first that the sweep's file asks for and that is there.
    """
    try:
        names = {name for name in store.files.names(FIGURES) if name.endswith(".png")}
        main = [name for name in _named(store.sweep) if name in names] or sorted(names)
        if not main:
            return ""
        data = store.files.read_bytes(f"{FIGURES}/{main[0]}", _MOST_BYTES)
    except (StoreError, OSError):
        return ""
    if not data.startswith(_PNG) or len(data) < 24:
        return ""
    width, height = struct.unpack(">II", data[16:24])
    if not 0 < width * height <= _MOST_PIXELS:
        return ""
    # Matplotlib cannot be without it; who only looks at numbers need not wait for it.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            small = image.convert("RGB")
        small.thumbnail((_WIDTH, 3 * _WIDTH))
        file = io.BytesIO()
        # Drawn anew: of the file only what is seen gets into a notebook.
        small.quantize(64).save(file, format="PNG", optimize=True)
    # A file that is no picture may raise anything, and a card without one is as good.
    except Exception:
        return ""
    return base64.b64encode(file.getvalue()).decode()
