"""The ids of runs: hashes of what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.plan.expansion import NOT_COLUMNS, Setting, plain_value
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.words import Words
from dlnsweep.spec.sweep import Sweep
from dlnsweep.spec.words import words_at
from dlnsweep.version import NUMERICS_VERSION

_HASHED_AT_ONCE = 1 << 16


DEFAULT_KINDS = {"problem.kind": "subspace", "network.kind": "deep_linear"}


def run_ids(sweep: Sweep, settings: Mapping[str, Setting]) -> np.ndarray:
    """Hash each run's settings into an int64.

    The text that is hashed holds every setting that differs from its default, the seed and the
    numerics version: so a later version can add a setting, with a default that keeps what was
    done before, and old results keep their ids. Changing a default raises the numerics version.
    """
    constant = {"numerics_version": str(NUMERICS_VERSION)}
    for key in NOT_COLUMNS:
        text = json.dumps(plain_value(sweep.values[key][0]))
        if text != default_text(sweep, key):
            constant[key] = text
    kinds = RunSettings({key: sweep.values[key][0] for key in DEFAULT_KINDS})
    if version := network_of(kinds).version:
        constant["network.version"] = version
    head = "".join(f"{key}={constant[key]}\n" for key in sorted(constant))
    varying: list[tuple[list[str], np.ndarray]] = []
    for key, setting in sorted(settings.items(), key=lambda item: item[0]):
        default = default_text(sweep, key)
        # "null" is a hyperparameter that the run does not use: it says nothing of the run.
        silent = (default, "null")
        words = words_at(sweep, key)
        # Of most settings, the many seeds among them, no value is a word.
        version = (lambda _: "") if words is None else partial(_version, words)
        lines = [
            "" if text in silent else f"{key}={text}{version(text)}\n" for text in setting.texts
        ]
        if setting.index is not None:
            varying.append((lines, setting.index))
        elif varying:
            last, index = varying[-1]
            varying[-1] = ([line + lines[0] for line in last], index)
        else:
            head += lines[0]
    base = hashlib.blake2b(head.encode(), digest_size=8)
    total = max((len(index) for _, index in varying), default=1)
    return np.concatenate(
        [
            _hashes(base, [(lines, index[i : i + _HASHED_AT_ONCE]) for lines, index in varying])
            for i in range(0, total, _HASHED_AT_ONCE)
        ]
    )


def _hashes(base: Any, varying: Sequence[tuple[list[str], np.ndarray]]) -> np.ndarray:
    """Return the hash of some runs: of what `base` has taken in, and of a line each setting."""
    columns = [map(lines.__getitem__, index.tolist()) for lines, index in varying]
    digests = []
    for fields in zip(*columns, strict=True) if columns else [()]:
        digest = base.copy()
        digest.update("".join(fields).encode())
        digests.append(digest.digest())
    # 63 bits: a positive number is easier to read, and to paste into a query.
    return (np.frombuffer(b"".join(digests), dtype=">u8") >> np.uint64(1)).astype(np.int64)


def _version(words: Words, text: str) -> str:
    """Return what tells a stranger's word from another of this name; nothing for our own."""
    version = words.version(json.loads(text))
    return f" version {version}" if version else ""


def default_text(sweep: Sweep, dotted: str) -> str | None:
    """Return a setting's default as the text that ids are made of; None if it has none."""
    if dotted in DEFAULT_KINDS:
        # The default of every kind's own class, but only one can go without saying.
        return json.dumps(DEFAULT_KINDS[dotted])
    section, _, key = dotted.partition(".")
    settings = sweep.classes.get(section)
    field = settings.model_fields.get(key) if settings else None
    if field is None or field.is_required():
        return None
    return json.dumps(plain_value(field.get_default(call_default_factory=True)))
