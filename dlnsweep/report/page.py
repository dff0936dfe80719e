"""The page: one file of HTML, with its style, its script and its pictures inside.

What a folder says is text in it, never markup: every value is escaped by the template, has no
control characters, and stands in no address and no attribute but those of sorting. Its policy
allows the page's own script and style, by their hashes, and nothing else: no other script, no
request.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import uuid
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from dlnsweep.errors import StoreError
from dlnsweep.machine.paths import is_special
from dlnsweep.report.colours import rules_by_night
from dlnsweep.report.content import Content, content_of
from dlnsweep.results import Results, open_results
from dlnsweep.settings.sentences import duration, printable
from dlnsweep.version import __version__

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_CODE = re.compile(r"`([^`]+)`")


def write_report(results: str | Path | Results, out: str | Path | None = None) -> Path:
    """Write a page about a results folder, which a browser shows without a network.

    Args:
        results: The results, their folder, or its address.
        out: The file; "<name of the sweep>.html" in the current folder by default.

    Returns:
        The file.

    Raises:
        StoreError: If the folder is damaged, or the file cannot be written.
    """
    results = results if isinstance(results, Results) else open_results(results)
    path = Path(f"{results.name}.html" if out is None else out).expanduser()
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; give the name of a file, such as report.html.")
    if is_special(path):
        raise StoreError(
            f"{path}: is a device or a pipe, which a page cannot replace; name a file."
        )
    _write(path, page(results).encode())
    return path


def page(results: Results) -> str:
    """Return the page; the same for the same folder each time."""
    path = str(results.path)
    shown, text = _shown(path), render(content_of(results), _shown(path))
    # Sentences about damage name a file by its whole path.
    return text if "://" in path or len(path) < 4 else text.replace(
        f"{escape(printable(path))}/", f"{escape(printable(shown))}/"
    )  # fmt: skip


def _shown(path: str) -> str:
    """Return a folder as a page that is sent to others may name it: not where one's home lies."""
    if "://" in path:
        return path
    from_here = os.path.relpath(path)
    return Path(path).name if from_here.startswith("..") else Path(from_here).as_posix()


def render(content: Content, path: str) -> str:
    """Return a page of this content, of a folder of this path."""
    by_night = rules_by_night(str(each.image) for each in content.figures if each.night)
    style, script = _part("page.css") + by_night, _part("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=content,
            path=path,
            quoted=shlex.quote(path),
            style=Markup(style),
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            version=__version__,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_told,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "linked": _linked,
        "coded": _coded,
        "lines": _lines,
        # Thin spaces, which are no printable characters, so that this is no plain text.
        "grouped": lambda number: Markup(f"{number:,}".replace(",", "&#8239;")),
    }
    return environment


def _part(name: str) -> str:
    return files("dlnsweep").joinpath("report", "templates", name).read_text(encoding="utf-8")


def _told(value: Any) -> Any:
    """Return a value as it may stand in the page: a text without control characters."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _linked(text: str) -> Markup:
    """Return a text with links to the papers of arXiv that it names."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>'
    return Markup(_ARXIV.sub(link, str(escape(printable(text)))))


def _coded(text: str) -> Markup:
    """Return a sentence with what stands in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(printable(text)))))


def _lines(text: str) -> Markup:
    """Return a text of several lines."""
    return Markup("\n").join(escape(printable(line)) for line in text.split("\n"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            file.write(data)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path}: the page cannot be written ({error.strerror or error}); make room or choose "
            "another file with --out."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
