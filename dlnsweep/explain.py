"""`dlnsweep explain`: the keys of a section or kind, as the settings classes declare them."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.observables import OBSERVABLES
from dlnsweep.problems import PROBLEMS
from dlnsweep.sections import SECTIONS
from dlnsweep.sentences import did_you_mean
from dlnsweep.settings import Settings, description

_WIDTH = 96


def explain(word: str) -> str:
    """Explain a section, a kind, "observables", or a single key such as training.learning_rate.

    Raises:
        SpecError: If there is no such thing.
    """
    topics = _topics()
    if not word:
        return "Explain what? One of:\n" + textwrap.fill(
            ", ".join(topics), _WIDTH, initial_indent="  ", subsequent_indent="  "
        )
    if word in topics:
        kind = topics[word]
        return _explain_observables() if kind is None else _explain_settings(word, kind)
    section, _, key = word.partition(".")
    classes = [c for name, c in topics.items() if c is not None and name == section]
    if section == "problem":
        classes = [problem.settings for problem in PROBLEMS.values()]
    for settings in classes:
        if key in settings.model_fields:
            return "\n".join(_explain_key(settings, key))
    if word in OBSERVABLES:
        return f"{word}: {OBSERVABLES[word].text}"
    raise SpecError(f"explain: '{word}' is not known{did_you_mean(word, [*topics, *OBSERVABLES])}")


def _topics() -> dict[str, type[Settings] | None]:
    from dlnsweep.figures.settings import FIGURES

    topics: dict[str, type[Settings] | None] = {k: p.settings for k, p in PROBLEMS.items()}
    topics |= SECTIONS
    topics["deep_linear"] = SECTIONS["network"]
    topics |= FIGURES
    return topics | {"observables": None}


def _explain_settings(word: str, settings: type[Settings]) -> str:
    lines = [(settings.__doc__ or word).strip().splitlines()[0], ""]
    for key in settings.model_fields:
        lines += _explain_key(settings, key)
    return "\n".join(lines)


def _explain_key(settings: type[Settings], key: str) -> list[str]:
    field = settings.model_fields[key]
    info = description(settings, key)
    facts = [_type(field.annotation)]
    facts += [_bound(item) for item in field.metadata if _bound(item)]
    if field.is_required():
        facts.append("required")
    else:
        value = field.get_default(call_default_factory=True)
        facts.append(f"default {_shown(value)}")
    if info is not None:
        if info.unit:
            facts.append(f"unit: {info.unit}")
        if info.role != "outside":
            facts.append(info.role)
        if not info.axis and info.role != "outside":
            facts.append("one value a file")
    symbol = f" ({info.symbol})" if info and info.symbol else ""
    text = f"{info.text}" if info else ""
    body = f"{text}. [{'; '.join(facts)}]" if text else f"[{'; '.join(facts)}]"
    wrapped = textwrap.wrap(body, _WIDTH - 4)
    return [f"{key}{symbol}", *[f"    {line}" for line in wrapped]]


def _explain_observables() -> str:
    lines = ["What [record] observables can name.", ""]
    for name, observable in OBSERVABLES.items():
        shape = "" if observable.size is None else " (a vector)"
        lines += [f"{name}{shape}"]
        lines += [f"    {line}" for line in textwrap.wrap(observable.text, _WIDTH - 4)]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, Settings):
        value = value.model_dump()
    return "none" if value is None else json.dumps(value)


def _bound(item: Any) -> str:
    """Return a bound that pydantic keeps beside a field's type, as text."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = [f"{sign} {getattr(item, name)}" for name, sign in signs.items() if hasattr(item, name)]
    return found[0] if found else ""


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    text = re.sub(r"typing\.|dlnsweep\.[a-z_.]+\.|annotated_types\.", "", text)
    text = re.sub(r"Annotated\[([^,\]]+), [^\]]*\]", r"\1", text)
    text = re.sub(r"Literal\[(.*)\]", lambda m: m.group(1).replace(", ", " | "), text)
    names = {"float": "a number", "int": "an integer", "str": "a string", "bool": "true or false"}
    return names.get(text, text)
