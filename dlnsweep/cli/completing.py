"""What may stand where the cursor is in a command line: the answer to a TAB, without JAX.

A name that a shell would take for more than a name is left out: what lies in a folder may be a
stranger's, and what is completed is about to be run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from dlnsweep.errors import DlnsweepError

_SAFE = re.compile(r"[\w./:=+@,~-]+")
_MOST_LISTED = 1000
# Where bash begins a new word inside of one: it replaces only what comes behind.
_BREAKS = re.compile(r".*[:=]")
_SWEEP = "sweep.json"
_MOST_BYTES = 1 << 20


def answer(shell: str, words: Sequence[str], commands: dict[str, Any]) -> list[str]:
    """Return what the last word may become, sorted.

    Args:
        shell: "bash", for which `words` is the one line up to the cursor, or another one.
        words: The words of the command line without the program's name; the last one, which may be
            empty, is the one to be completed.
        commands: The commands by name, as typer has them.
    """
    if shell == "bash":
        words = _split(words[0] if words else "")[1:]
    *before, word = words or [""]
    found = sorted({each for each in _candidates(before, word, commands) if each.startswith(word)})
    found = [each for each in found if _SAFE.fullmatch(each)][:_MOST_LISTED]
    if shell == "bash" and (kept := _BREAKS.match(word)):
        found = [each[kept.end() :] for each in found]
    return found


def _split(line: str) -> list[str]:
    """Return the words of a line up to the cursor; the last one is empty behind a space."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return [*words, ""] if not words or (line[-1:].isspace() and not closing) else words
    return line.split(" ")


def _candidates(before: Sequence[str], word: str, commands: dict[str, Any]) -> Iterable[str]:
    if not before:
        return [*commands, "--help", "--version"]
    command = commands.get(before[0])
    if command is None:
        return []
    options = {name: p for p in command.params for name in _options(p)}
    places = [param for param in command.params if not _options(param)]
    given: list[str] = []
    waiting: Any = None
    for each in before[1:]:
        if waiting is not None:
            waiting = None
        elif each in options:
            waiting = None if options[each].is_flag else options[each]
        else:
            given.append(each)
    if waiting is not None:
        return _values(waiting, given, word, before[0])
    if word.startswith("-"):
        return [*options, "--help"]
    many = places and (places[-1].nargs == -1 or (places[-1].metavar or "").endswith("..."))
    place = min(len(given), len(places) - 1) if many else len(given)
    return _values(places[place], given, word, before[0]) if place < len(places) else []


def _options(param: Any) -> list[str]:
    return [name for name in (*param.opts, *param.secondary_opts) if name.startswith("-")]


def _values(param: Any, given: Sequence[str], word: str, command: str) -> Iterable[str]:
    """Return what a value may be: its choices, or what its name says that it is."""
    if choices := _choices(param):
        return choices
    named = (param.metavar or param.name or "").upper().removesuffix("...")
    if param.name == "overrides":
        return _figure_keys() if command == "figure" else _keys(given)
    # Commands that write files say so, and what they write is not there yet.
    kinds: dict[str, Callable[[], Iterable[str]]] = {
        "RESULTS": lambda: _paths(word, _is_results),
        "FOLDER": lambda: _paths(word, Path.is_dir),
        "DIR": lambda: _paths(word, Path.is_dir),
        "KIND": _topics,
        "KEY": lambda: _varying(given) or (key.removesuffix("=") for key in _keys(given)),
        "KEY=VALUE": lambda: [f"{key}=" for key in _varying(given)] or _keys(given),
        "OBSERVABLE": lambda: _described(given).get("observables", []),
        "A": lambda: _either(word),
        "B": lambda: _either(word),
    }
    if named == "FILE" and param.name == "plugin":
        return _paths(word, lambda path: path.suffix == ".py")
    if named == "FILE":
        gallery = _gallery() if param.name in ("file", "files") and not _options(param) else []
        return [*_paths(word, lambda path: path.suffix == ".toml"), *gallery]
    if named == "NAME":
        return _guides() if command == "guide" else _gallery("")
    return kinds.get(named, list)()


def _choices(param: Any) -> list[str]:
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [str(each.value) for each in kind]
    # Of an earlier typer.
    choices = getattr(getattr(param, "type", None), "choices", None) or ()
    return [str(getattr(each, "value", each)) for each in choices]


def _figure_keys() -> list[str]:
    """Return the keys of figures, of any kind."""
    from dlnsweep.contracts.figure import FIGURES

    keys = dict.fromkeys(key for each in FIGURES.values() for key in each.settings.model_fields)
    return [f"figure.{key}=" for key in keys]


def _keys(given: Sequence[str]) -> Iterator[str]:
    """Yield the settings with a "=" behind: of the kinds of a sweep file, if one is named."""
    from dlnsweep.contracts import plugins
    from dlnsweep.contracts.keys import known_settings, sweep_classes

    plugins.load()
    for name in given:
        try:
            from dlnsweep.spec.file import read

            document = read(Path(name))
            kinds = document["problem"]["kind"], document.get("network", {}).get("kind")
            classes = sweep_classes(*kinds)
        except (DlnsweepError, LookupError, TypeError, AttributeError):
            continue
        for section, settings in classes.items():
            yield from (f"{section}.{key}=" for key in settings.model_fields)
        return
    yield from (f"{key}=" for key in known_settings())


def _varying(given: Sequence[str]) -> list[str]:
    """Return the settings that vary in a results folder, if one is named; with the seed."""
    record = _described(given).get("sweep", {})
    axes = [key for axis in record.get("axes", ()) for key in axis]
    return [*axes, "seed"] if axes else []


def _described(given: Sequence[str]) -> dict[str, Any]:
    """Return what `sweep.json` says of the results folder that is named; {} without one."""
    for name in given:
        path = Path(name).expanduser() / _SWEEP
        # A pipe would be waited for.
        if path.is_file():
            with path.open("rb") as file:
                return json.loads(file.read(_MOST_BYTES))
    return {}


def _topics() -> Iterable[str]:
    from dlnsweep.spec.explain import topics

    return topics()


def _gallery(prefix: str = "gallery:") -> list[str]:
    from dlnsweep.spec.gallery import names

    return [prefix + name for name in names()]


def _guides() -> Iterable[str]:
    from dlnsweep.cli.guide import guides

    return guides()


def _either(word: str) -> Iterator[str]:
    yield from _paths(word, lambda path: path.suffix == ".toml" or _is_results(path))
    yield from _gallery()


def _is_results(path: Path) -> bool:
    return (path / _SWEEP).is_file()


def _paths(word: str, wanted: Callable[[Path], bool]) -> Iterator[str]:
    """Yield what is wanted beside the path that was begun, and the folders that one can enter."""
    folder, slash, begun = word.rpartition("/")
    place = Path(os.path.expanduser(folder + slash)) if slash else Path()  # noqa: PTH111
    try:
        with os.scandir(place) as entries:
            found = [(e.name, e.is_dir()) for e in entries if e.name.startswith(begun)]
    except (OSError, ValueError):
        return
    for name, is_folder in found[:_MOST_LISTED]:
        if name.startswith(".") and not begun:
            continue
        if wanted(place / name):
            yield f"{folder}{slash}{name}"
        elif is_folder:
            yield f"{folder}{slash}{name}/"
