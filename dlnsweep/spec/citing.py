"""What to cite for a sweep: the arXiv numbers that its kinds say in their own definitions.

A kind's number stands in the docstring of its settings, of what draws it, or of their module, or is
an optimizer's `source`; so a stranger's kind is cited as ours are. Only numbers are given: a title
or an author that is wrong would be worse than none, and every reference manager completes an entry
by its number.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from dlnsweep.contracts.network import NETWORKS, find_network
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.version import __version__

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})(?!\d)")
_SOFTWARE = f"""\
@software{{dlnsweep,
  title = {{dlnsweep: a JAX sweep engine for deep-learning theory}},
  version = {{{__version__}}},
}}
"""


def bibtex(source: str, kinds: Mapping[str, Iterable[Any]]) -> str:
    """Return BibTeX of what a sweep is about and of what it uses, dlnsweep last.

    Args:
        source: What the sweep reproduces, as its file says.
        kinds: The kinds that its runs have of "problem.kind", "network.kind" and
            "training.optimizer"; those that are not known here have no entry.
    """
    found: dict[str, list[str]] = {}
    for number in _ARXIV.findall(source):
        found.setdefault(number, []).append("what the sweep is about")
    for key, values in kinds.items():
        for kind in values:
            for number in _numbers(_parts(key, kind, list(kinds.get("problem.kind", ())))):
                found.setdefault(number, []).append(f"{key.partition('.')[2]} {kind}")
    return "\n".join([*(_entry(number, what) for number, what in found.items()), _SOFTWARE])


def _entry(number: str, what: Iterable[str]) -> str:
    note = ", ".join(dict.fromkeys(what)).replace("_", r"\_").replace("kind ", "")
    return (
        f"@misc{{arXiv:{number},\n  eprint = {{{number}}},\n  archivePrefix = {{arXiv}},\n"
        f"  url = {{https://arxiv.org/abs/{number}}},\n  note = {{{note}}},\n}}\n"
    )


def _parts(key: str, kind: Any, problems: list[Any]) -> list[Any]:
    """Return what a kind is defined by; nothing for one that is not known."""
    if key == "problem.kind" and kind in PROBLEMS:
        return [PROBLEMS[kind].settings, PROBLEMS[kind].draw]
    if key == "network.kind":
        # Networks of one name are others for other tasks.
        known = {name for _, name in NETWORKS} & {kind}
        return [
            find_network(each, kind).settings for each in problems if each in PROBLEMS and known
        ]
    if key == "training.optimizer" and kind in OPTIMIZERS:
        optimizer = OPTIMIZERS[kind]
        return [optimizer.source, optimizer.direction, optimizer.numbers]
    return []


def _numbers(parts: Iterable[Any]) -> Iterable[str]:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        module = sys.modules.get(getattr(part, "__module__", None) or "")
        texts += [getattr(part, "__doc__", None) or "", getattr(module, "__doc__", None) or ""]
    return dict.fromkeys(number for text in texts for number in _ARXIV.findall(text))
