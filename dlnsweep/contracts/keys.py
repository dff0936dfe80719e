"""Every setting that a sweep file can have: the settings classes of sections and kinds. No JAX."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from dlnsweep.contracts.network import NETWORKS, find_network
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.settings.base import Describe, Settings, description
from dlnsweep.settings.sections import SECTIONS


def sweep_classes(problem_kind: str, network_kind: Any) -> dict[str, type[Settings]]:
    """Return the settings class of each section.

    Args:
        problem_kind: The kind of problem.
        network_kind: The kind of network, right or wrong; see `find_network`.
    """
    network = find_network(problem_kind, network_kind).settings
    return {"problem": PROBLEMS[problem_kind].settings, "network": network, **SECTIONS}


def may_vary(settings: type[Settings], key: str) -> bool:
    """Return whether a sweep file may give several values of a setting."""
    info = description(settings, key)
    return info is None or info.axis


def setting_classes() -> dict[str, list[type[Settings]]]:
    """Return the settings classes of each section, problems and networks of every kind included."""
    classes: dict[str, list[type[Settings]]] = {
        "problem": [problem.settings for problem in PROBLEMS.values()],
        "network": list(dict.fromkeys(network.settings for network in NETWORKS.values())),
    }
    return classes | {section: [settings] for section, settings in SECTIONS.items()}


def describe_setting(dotted: str, kinds: tuple[str, str] | None = None) -> Describe | None:
    """Return what a dotted setting is, or None if no section knows it.

    Args:
        dotted: The setting.
        kinds: The kinds of problem and network, whose own description comes first.
    """
    section, _, key = dotted.partition(".")
    own = [sweep_classes(*kinds)[section]] if kinds and section in ("problem", "network") else []
    for settings in [*own, *setting_classes().get(section, ())]:
        if key in settings.model_fields:
            return description(settings, key)
    return None


def value_types(dotted: str) -> set[type]:
    """Return what the values of a dotted setting are, of whichever kind of problem and network.

    Returns:
        Some of bool, int, float and str; empty for what no section knows, and for lists and the
        like.
    """
    section, _, key = dotted.partition(".")
    found: set[Any] = set()
    for settings in setting_classes().get(section, ()):
        if field := settings.model_fields.get(key):
            alternatives = get_args(field.annotation) or (field.annotation,)
            if get_origin(field.annotation) is not list:
                found |= {a if isinstance(a, type) else type(a) for a in alternatives}
    return found & {bool, int, float, str}


def known_settings() -> Iterable[str]:
    """Return every dotted setting of every section and kind."""
    for section, classes in setting_classes().items():
        for settings in classes:
            yield from (f"{section}.{key}" for key in settings.model_fields)
