"""Pydantic's findings as sentences: where, what was found, what is allowed."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pydantic
from pydantic import ValidationError

from dlnsweep.errors import without_places
from dlnsweep.settings.base import Settings

_LONGEST_VALUE = 60
_LONGEST_KEY = 80
_MOST_LISTED = 15
MOST_MISTAKES = 40
# Of what an exception says, so many characters are told.
_LONGEST_RAISED = 300
# Where our own files are, and what is installed beside them.
_OTHERS = Path(__file__).parents[1], Path(pydantic.__file__).parents[1]

# What other programs and papers call our keys.
_ALSO_CALLED = {
    **dict.fromkeys(("lr", "eta", "step_size", "stepsize", "rate"), "learning_rate"),
    **dict.fromkeys(("wd", "l2", "lambda", "lam", "decay", "decay_rate", "reg"), "weight_decay"),
    **dict.fromkeys(
        ("epochs", "num_epochs", "steps", "iterations", "num_iterations", "max_steps", "iters"),
        "num_steps",
    ),
    **dict.fromkeys(("batch_size", "batchsize", "minibatch"), "minibatch_size"),
    **dict.fromkeys(("layers", "num_layers", "n_layers"), "depth"),
    **dict.fromkeys(("hidden", "hidden_dim", "hidden_size", "hidden_width", "units"), "width"),
    **dict.fromkeys(("seed", "num_seeds", "n_seeds"), "seeds"),
    **dict.fromkeys(("n_samples", "samples", "num_data", "n"), "num_samples"),
    **dict.fromkeys(("init", "initialization", "initialisation"), "initializer"),
    **dict.fromkeys(("dtype", "float"), "precision"),
    **dict.fromkeys(("optim", "optimiser"), "optimizer"),
    **dict.fromkeys(("kappa", "cond", "condition"), "condition_number"),
    **dict.fromkeys(("metrics", "measure"), "observables"),
    "tol": "tolerance",
}

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def printable(text: str, longest: int | None = None) -> str:
    """Return a text without control characters, cut to a length."""
    # Cut first: a hostile text may be long, and an escape is longer than its character.
    cut = text if longest is None or len(text) <= longest else text[: longest - 3] + "..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def show(value: Any) -> str:
    """Return a value as it may stand in a message: TOML-like and short."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = f"'{value}'"
    else:
        try:
            text = without_places(str(value))
        except ValueError:
            # Python refuses to write integers of more than 4300 digits.
            text = "a huge integer" if isinstance(value, int) else "a value with a huge integer"
    return printable(text, _LONGEST_VALUE)


def show_key(key: str) -> str:
    """Return a key, which may be any string, as it may stand in a message."""
    return printable(key, _LONGEST_KEY)


def did_you_mean(word: str, known: Collection[str], elsewhere: Iterable[str] = ()) -> str:
    """Return the end of a sentence: the nearest of the known words, else all, if they are few.

    Args:
        word: What was written.
        known: What could have been written.
        elsewhere: Dotted keys that could have been meant where none of these is near.
    """
    near = _meant(word, known) or _meant(word, elsewhere) or _nearest(word, known)
    if near:
        return f"; did you mean '{near}'?"
    if not known:
        return "."
    if len(known) > _MOST_LISTED:
        return "; `dlnsweep explain` lists what there is."
    return f"; known are {', '.join(known)}."


def nearest_key(word: str, known: Collection[str]) -> str:
    """Return which known key was meant by a word; empty if none is near."""
    return _meant(word, known) or _nearest(word, known)


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is spelled most like one; empty if none is near."""
    return next(iter(difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)), "")


def _meant(word: str, known: Iterable[str]) -> str:
    """Return the known key that is the word, or what others call so, but for its section."""
    last = word.rpartition(".")[2]
    wanted = (last, _ALSO_CALLED.get(last.lower(), last))
    known = list(known)
    return next((each for name in wanted for each in known if _last(each) == name), "")


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def raised(error: BaseException) -> str:
    """Return the type and the first line of what a stranger's function raised, and where it did."""
    lines = str(error).strip().splitlines() or [""]
    said = printable(f"{type(error).__name__}: {lines[0]}", _LONGEST_RAISED)
    return said + _place_of(error)


def _place_of(error: BaseException) -> str:
    """Return the innermost line of what was called that is neither ours nor installed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not any(path.is_relative_to(each) for each in _OTHERS) and path.is_file():
            return f", at {printable(path.name)}:{frame.lineno}"
    return ""


def bounded(problems: Sequence[str]) -> list[str]:
    """Return mistakes, each once; of very many the first, and how many others there are."""
    each = list(dict.fromkeys(problems))
    rest = len(each) - MOST_MISTAKES
    return [*each[:MOST_MISTAKES], f"and {rest} more mistakes."] if rest > 0 else each


def _number(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def requirement(error: dict[str, Any]) -> str:
    """Return what a pydantic error asks for, as "it must be ..."."""
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "greater_than" and context["gt"] == 0:
        return "it must be positive"
    if kind == "greater_than_equal" and context["ge"] == 0:
        return "it must not be negative"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"it must be {words} {_number(context[name])}"
    if kind == "finite_number":
        return "it must be finite"
    if kind == "literal_error":
        return f"it must be {context['expected']}"
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    if kind == "float_type" and _is_integer(error["input"]):
        return "it must be a number below 1.8e308"
    if kind == "string_pattern_mismatch":
        return f"it must match {context['pattern']}"
    if _TYPES.get(kind) == "an integer" and _is_whole(error["input"]):
        return "it must be an integer, which beyond 2^53 is written with all its digits"
    if kind in _TYPES:
        return f"it must be {_TYPES[kind]}"
    return "it is not allowed: " + error["msg"][0].lower() + error["msg"][1:]


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def findings(error: ValidationError, place: str, also: str = "") -> list[str]:
    """Return one sentence for each finding about a single value.

    Args:
        error: What pydantic raised.
        place: The dotted key of the value.
        also: What else holds of the value, for a finding about all of it.
    """
    items: list[dict[str, Any]] = [dict(item) for item in error.errors()]
    # Every member of a union complains. Those that expected another type than was given only
    # distract from what is wrong inside the member that was meant.
    inside = [
        e
        for e in items
        if e["type"] not in (*_TYPES, "literal_error") or any(isinstance(p, int) for p in e["loc"])
    ]
    if not inside:
        wanted = " or ".join(dict.fromkeys(requirement(e) for e in items))
        wanted = wanted.replace(" or it must be ", " or ")
        return [f"{place} is {show(items[0]['input'])}; {wanted}{also}."]
    found = []
    for item in inside:
        path = "".join(f"[{p}]" for p in item["loc"] if isinstance(p, int))
        more = "" if path else also
        found.append(f"{place}{path} is {show(item['input'])}; {requirement(item)}{more}.")
    return found


def sentences(
    error: ValidationError, place: str, settings: type[Settings], what: str = ""
) -> list[str]:
    """Return one sentence for each finding about a table.

    Args:
        error: What pydantic raised.
        place: The dotted place of the settings, such as "training"; empty for bare arguments.
        settings: The settings class, for its keys.
        what: What the table is, where it is no section; "[place]" if empty.
    """
    known = [field.alias or key for key, field in settings.model_fields.items()]
    found = []
    for item in error.errors():
        path = [show_key(p) if not isinstance(p, int) else f"[{p}]" for p in item["loc"]]
        dotted = ".".join(filter(None, [place, *path])).replace(".[", "[")
        if item["type"] == "extra_forbidden":
            where = f" of {what or f'[{place}]'}" if place else ""
            hint = did_you_mean(str(item["loc"][-1]), known)
            found.append(f"{dotted} is not a key{where}{hint}")
        elif item["type"] == "missing":
            found.append(f"{dotted} is missing; it has no default.")
        else:
            found.append(f"{dotted} is {show(item['input'])}; {requirement(dict(item))}.")
    return found


def shorten(number: float) -> str:
    """Return a number with three digits and k, M, G or T, or a power of ten."""
    if number >= 1e15:
        return f"{number:.3g}"
    for limit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {suffix}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 8 s, 3 min 20 s, 5 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def no_setting(key: str, name: str, known: Collection[str]) -> str:
    """Return what is said of a name, given for `key`, that is no setting of a sweep."""
    near = nearest_key(name, known)
    hint = f"did you mean '{near}'?" if near else "it must be one such as network.width."
    return f"{key} is {show(name)}, which is no setting of this sweep; {hint}"
