"""Matplotlib's own settings in a figure: read from a style file, and checked one by one.

A style file is read once, where a figure is read: what it says becomes the figure's `rc`, and is
kept with the results. It is text, never run; a settings folder of somebody else names no file.
Matplotlib is loaded only for a figure that has some.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.machine.backend import load_matplotlib
from dlnsweep.machine.paths import user_path
from dlnsweep.settings.sentences import nearest_key, printable, raised, show

# What changes the look of a figure, and runs nothing: no LaTeX, no commands, no paths.
_HONOURED = re.compile(
    r"(axes\.(axisbelow|edgecolor|facecolor|grid.*|label.*|linewidth|spines\..*|title.*|"
    r"unicode_minus)|font\..*|grid\..*|hatch\..*|legend\..*|lines\..*|mathtext\..*|text\.color|"
    r"[xy]tick\..*|(figure|savefig)\.(face|edge)color|savefig\.transparent|pdf\.fonttype|"
    r"svg\.fonttype|patch\..*)"
)
# What a figure here has keys of its own for.
_OWN_KEYS = {
    "figure.figsize": "width_inches and height_inches",
    "figure.dpi": "dpi",
    "savefig.dpi": "dpi",
    "axes.prop_cycle": "colours",
    "image.cmap": "colours",
    "savefig.format": "formats",
}
_TRUE = {"true", "t", "yes", "y", "on", "1"}
_LARGEST_FILE = 64 * 1024
_GENERIC = {"serif", "sans-serif", "sans serif", "sans", "cursive", "fantasy", "monospace"}
_MOST_SETTINGS = 200


def read_style(name: str) -> tuple[dict[str, Any], list[str]]:
    """Read a style: a file, or one that Matplotlib knows by its name.

    A style is for figures of all sorts: what those here have no use for is left. What would change
    every text, or is a mistake, is told.

    Returns:
        Settings of Matplotlib, and what is wrong, as ends of sentences.
    """
    text, problem = _text_of(name)
    if problem:
        return {}, [problem]
    found: dict[str, Any] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        key, colon, value = (part.strip() for part in _bare(line).partition(":"))
        if key and not colon:
            problems.append(f"line {number} of it is no 'key: value'.")
        elif key == "text.usetex" and value.lower() in _TRUE:
            problems.append(
                "it asks for LaTeX (text.usetex), which figures here are drawn without."
            )
        elif key and (_is_honoured(key) or not _is_known(key)):
            found[key] = value.strip("\"'")
    problems += [each.replace("rc has", "it has", 1) for each in wrong_settings(found)]
    return found, problems


def _text_of(name: str) -> tuple[str, str]:
    """Return the text of a style, or why there is none."""
    load_matplotlib()
    import matplotlib.style

    library = matplotlib.style.library
    if name in library:
        known = library[name]
        return "\n".join(f"{key}: {_written(value)}" for key, value in known.items()), ""
    try:
        path = user_path(name)
        if not stat.S_ISREG(path.stat().st_mode):
            return "", "it is no regular file; name a Matplotlib style file."
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            return "", f"it is larger than {_LARGEST_FILE // 1024} KiB."
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return "", "it is not UTF-8."
    except SpecError as error:
        return "", str(error)
    except OSError as error:
        why = error.strerror
        near = nearest_key(Path(name).stem, list(matplotlib.style.available))
        hint = f"did you mean '{near}'?" if near else "name a file, or a style of Matplotlib's."
        return "", f"no style is called so, and no file can be read there ({why}); {hint}"


def _written(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _bare(line: str) -> str:
    """Return a line without its comment; a sign in quotes, or a colour behind one, is none."""
    if line.lstrip().startswith("#"):
        return ""
    return re.sub(r"\s+#(?![0-9A-Fa-f]{3}).*$", "", line)


def wrong_settings(rc: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a figure's `rc`, as sentences without the figure's place."""
    if not rc:
        return
    load_matplotlib()
    import warnings

    import matplotlib

    if len(rc) > _MOST_SETTINGS:
        yield f"rc has {len(rc)} settings; {_MOST_SETTINGS} at most."
        return
    checked: Any = matplotlib.RcParams()
    for key, value in rc.items():
        if key in _OWN_KEYS:
            yield f"rc has '{key}', which figures have keys for: set {_OWN_KEYS[key]}."
        elif key not in matplotlib.rcParams:
            near = nearest_key(key, [each for each in matplotlib.rcParams if _is_honoured(each)])
            hint = f"did you mean '{near}'?" if near else "`matplotlib.rcParams` lists them."
            yield f"rc has {show(key)}, which Matplotlib does not know; {hint}"
        elif not _is_honoured(key):
            yield (
                f"rc has '{key}', which figures here cannot honour; they can fonts, sizes, widths, "
                "colours, ticks, grid and legend (axes.*, font.*, lines.*, legend.*, ...)."
            )
        else:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    checked[key] = value
            except Exception as error:
                yield f"rc has '{key}' = {show(value)}; {_reason(key, error)}."
                continue
            yield from _fonts(key, checked[key])


def _reason(key: str, error: Exception) -> str:
    return printable(raised(error).partition(": ")[2].removeprefix(f"Key {key}: ")).rstrip(".")


def _is_known(key: str) -> bool:
    import matplotlib

    return key in matplotlib.rcParams


def _is_honoured(key: str) -> bool:
    return bool(_HONOURED.fullmatch(key))


def _fonts(key: str, value: Any) -> Iterator[str]:
    if key == "font.size" and not 1 <= value <= 72:
        yield f"rc has 'font.size' = {value:g}; it must be from 1 to 72."
    if key != "font.family":
        return
    from matplotlib.font_manager import FontProperties, findfont

    for family in [value] if isinstance(value, str) else value:
        if family.lower() in _GENERIC:
            continue
        try:
            findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:
            yield f"rc has 'font.family' = {show(family)}, a font that is not installed here."


def wrong_colours(colours: Any) -> Iterator[str]:
    """Yield what is wrong with a figure's colours, as sentences without the figure's place."""
    if colours is None:
        return
    load_matplotlib()
    import matplotlib
    from matplotlib.colors import is_color_like

    if isinstance(colours, str):
        if colours not in matplotlib.colormaps:
            near = nearest_key(colours, list(matplotlib.colormaps))
            hint = f"did you mean '{near}'?" if near else "such are 'viridis', 'cividis', 'tab10'."
            more = " (one colour is a list: ['black'])" if is_color_like(colours) else ""
            yield f"colours is {show(colours)}, no colour map of Matplotlib's{more}; {hint}"
        return
    for index, each in enumerate(colours):
        if not is_color_like(each):
            yield (
                f"colours[{index}] is {show(each)}, no colour of Matplotlib's; give a name such as "
                "'black', or '#D55E00'."
            )
