"""A small sweep document, with changes: the tests' way to write sweep files."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dlnsweep.errors import SpecError
from dlnsweep.spec.sweep import Sweep

_DOCUMENT: dict[str, Any] = {
    "name": "sample",
    "problem": {
        "kind": "subspace",
        "signal_dim": 8,
        "measurement_dim": 4,
        "subspace_dim": 2,
        "num_samples": 5,
    },
    "network": {"depth": 2, "width": 16},
    "training": {"learning_rate": 0.1, "num_steps": 100},
}


def document(**changes: Any) -> dict[str, Any]:
    """Return the document; `network__depth=3` sets a key of a section, `name="x"` one above."""
    result = copy.deepcopy(_DOCUMENT)
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        if inner:
            result.setdefault(section, {})[inner] = value
        else:
            result[section] = value
    return result


def sweep(**changes: Any) -> Sweep:
    return Sweep.from_dict(document(**changes))


def problems(**changes: Any) -> list[str]:
    """Return the sentences with which a document is refused, without their first word."""
    with pytest.raises(SpecError) as caught:
        sweep(**changes)
    found = list(caught.value.problems)
    assert all(sentence.isprintable() for sentence in found)
    assert all(sentence.startswith("sweep: ") for sentence in found)
    return [sentence.removeprefix("sweep: ") for sentence in found]
