"""Pictures for a page: an SVG of Matplotlib's with only what a picture needs, and ids of its own.

Several pictures stand in one page, where an id may stand once, a `<style>` would style the page,
and a strict policy allows no `style=` attribute. What is not known here is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from xml.etree import ElementTree

from markupsafe import Markup, escape

from dlnsweep.errors import FigureError

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = frozenset(
    {
        "svg", "g", "path", "defs", "use", "clipPath", "rect", "circle", "ellipse", "line",
        "polyline", "polygon", "image", "pattern", "linearGradient", "radialGradient", "stop",
    }
)  # fmt: skip
# Also as properties in a `style` attribute, from where they become attributes.
_LOOKS = frozenset(
    {
        "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity",
        "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin",
        "stroke-miterlimit", "opacity", "clip-path", "stop-color", "stop-opacity",
        "image-rendering",
    }
)  # fmt: skip
_SHAPES = frozenset(
    {
        "id", "d", "transform", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry",
        "width", "height", "points", "viewBox", "offset", "preserveAspectRatio", "patternUnits",
        "patternTransform", "gradientUnits", "gradientTransform", "clipPathUnits",
    }
)  # fmt: skip
# What an artist's id begins with whose colours are the same on any paper: it becomes a class.
AS_DRAWN = "as-drawn"
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
# What XML cannot say; Matplotlib repeats texts in comments.
_NO_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_POINTED_AT = re.compile(r"url\(#([\w.-]+)\)")
_STROKE = re.compile(r"(?:^|;)\s*stroke\s*:[^;]*")
_PLAIN = re.compile(r"[\w\s#.,()%+-]*")


def inline_svg(source: bytes, prefix: str, label: str) -> Markup:
    """Return an SVG as it may stand inside a page.

    Args:
        source: The file, as Matplotlib writes it.
        prefix: What all its ids begin with: other pictures have the same.
        label: What the picture shows, for those who do not see it.

    Raises:
        FigureError: If it is no SVG.
    """
    try:
        root = ElementTree.fromstring(_NO_XML.sub(b"?", source))
    except ElementTree.ParseError as error:
        raise FigureError(f"a figure was not written as SVG ({error}).") from error
    if root.tag != _SVG + "svg":
        raise FigureError("a figure was not written as SVG.")
    used = set(_used(root))
    box = _plain(root.get("viewBox") or "0 0 1 1")
    inner = "".join(_element(child, prefix, used) for child in root)
    # The corners and ends that Matplotlib says in a <style> of its own.
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{escape(box)}" role="img" '
        f'aria-label="{escape(label)}" stroke-linejoin="round" stroke-linecap="butt">{inner}</svg>'
    )


def width_of(source: bytes) -> float:
    """Return the width of an SVG of Matplotlib's in inches."""
    found = re.search(rb'viewBox="0 0 ([\d.]+) ', source[:5000])
    return float(found[1]) / 72 if found else 6.9


def _used(root: ElementTree.Element) -> Iterator[str]:
    """Yield the ids that something in the picture points at."""
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in (_HREF, "href") and value.startswith("#"):
                yield value[1:]
            yield from _POINTED_AT.findall(value)


def _element(element: ElementTree.Element, prefix: str, used: set[str]) -> str:
    name = str(element.tag).removeprefix(_SVG)
    if name not in _ELEMENTS or name == "svg":
        return ""
    attributes = dict(_attributes(element, prefix, used))
    if name == "defs":
        # Markers have the colour that they are used with, which a page's style reaches.
        element = deepcopy(element)
        for each in element.findall(f"{_SVG}path"):
            each.set("style", _STROKE.sub("", each.get("style") or ""))
    inner = "".join(_element(child, prefix, used) for child in element)
    if name in ("g", "defs") and not inner:
        return ""
    if name == "g" and not attributes:
        return inner
    written = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"


def _attributes(
    element: ElementTree.Element, prefix: str, used: set[str]
) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        if name in (_HREF, "href"):
            if value.startswith("#"):
                yield "href", f"#{prefix}{_plain(value[1:])}"
            elif _PICTURE.fullmatch(value):
                yield "href", "".join(value.split())
        elif name == "id":
            if value.startswith(AS_DRAWN):
                yield "class", AS_DRAWN
            if value in used:
                yield "id", prefix + _plain(value)
        elif name == "style":
            for declaration in value.split(";"):
                key, _, said = declaration.partition(":")
                if key.strip() in _LOOKS:
                    yield key.strip(), _pointing(said.strip(), prefix)
        elif name in _LOOKS:
            yield name, _pointing(value, prefix)
        elif name in _SHAPES:
            yield name, _plain(value)


def _pointing(value: str, prefix: str) -> str:
    """Return a value that may point at another element of the picture, and at nothing else."""
    found = _POINTED_AT.fullmatch(value)
    return f"url(#{prefix}{found[1]})" if found else _plain(value.replace("url", ""))


def _plain(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else ""
