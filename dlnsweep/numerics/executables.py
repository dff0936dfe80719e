"""Compiled programs kept whole between processes: neither traced, lowered nor compiled again.

JAX looks a program up by its lowered text, so that its cache spares XLA's work alone; to trace and
lower a program takes a second even where XLA's work is spared. Here a program is known by what it
is made from: the settings that decide about it, the shapes of its arguments, and every source file
that may decide about a number. That is the truth only of a process whose code stands in these files
and nowhere else, so a process has to say so: the worker processes of a sweep without plug-ins do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import platform
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from dlnsweep.numerics.code import code_of_libraries, code_of_numbers, newest_change
from dlnsweep.numerics.runtime import (
    device_description,
    own_cache,
    surroundings,
    versions,
)

# What compiled code calls outside itself: these have no state, but LAPACK's, which is prepared.
_LAPACK = "lapack_"
_CALLS = re.compile(r'custom_call_target="([^"]*)"')
# Files that were changed as this process began may not be what it has loaded.
_SETTLED_SECONDS = 5.0
# A program with a user's data among its constants: they have their file, and it may change.
_OF_FILES = "#sha256="
_MAX_BYTES = 64 * 2**20
# Kept in a program's place where it cannot be kept whole: JAX's own cache has it.
_NOT_WHOLE = b""


class _Origin(NamedTuple):
    """What this process's programs are made by; `settled`: the last change of files that it saw."""

    described: str
    settled: float


_origin: ContextVar[_Origin | None] = ContextVar("_origin", default=None)


@contextmanager
def keeping_whole(began: float) -> Iterator[None]:
    """Keep programs whole for the calls inside, and take those that are kept.

    Where JAX computes on anything but a CPU, or source files have been changed since this process
    began, nothing is.

    Args:
        began: When this process began, `time.time()`.
    """
    origin = None
    if (newest := newest_change()) < began - _SETTLED_SECONDS:
        described = [code_of_numbers(), code_of_libraries(), versions(), surroundings()]
        python = [platform.python_version(), sys.implementation.cache_tag]
        origin = _Origin(json.dumps([*described, python], sort_keys=True), newest)
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def once(name: str, arguments: Any, make: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return compiled programs: those that are kept, or made now.

    Args:
        name: Equal for programs which are the same for the same code and arguments; if empty, they
            are not kept.
        arguments: What they are made for; shapes and types of its leaves count.
        make: Makes them, each a `jax.stages.Compiled`.
    """
    origin, cache = _origin.get(), own_cache()
    if not (origin and name) or cache is None or _OF_FILES in name:
        return make()
    if device_description()["platform"] != "cpu":
        return make()
    described = "\0".join((origin.described, name, _forms(arguments)))
    key = f"whole {hashlib.sha256(described.encode()).hexdigest()}"
    kept = cache.get(key)
    if kept:
        with contextlib.suppress(Exception):
            return _loaded(kept)
        # It is as it was written, so that the next one would not be taken either.
        cache.put(key, _NOT_WHOLE)
    if kept is not None or newest_change() != origin.settled:
        # What is loaded only now may stand in files that have been changed since.
        return make()
    # What was read from a cache does not hold all that is needed to be kept once more.
    with cache.asleep():
        made = make()
    value = _NOT_WHOLE
    with contextlib.suppress(Exception):
        value = _saved(made)
    cache.put(key, value if len(value) <= _MAX_BYTES else _NOT_WHOLE)
    return made


def _forms(arguments: Any) -> str:
    import jax

    leaves, structure = jax.tree.flatten(arguments)
    forms = [
        (type(leaf).__name__, np.shape(leaf), str(jax.dtypes.result_type(leaf))) for leaf in leaves
    ]
    return f"{structure} {forms}"


def _saved(programs: tuple[Any, ...]) -> bytes:
    from jax.experimental import serialize_executable

    calls = {call for each in programs for call in _CALLS.findall(each.as_text())}
    if not all(call.startswith(_LAPACK) for call in calls):
        return _NOT_WHOLE
    parts = [serialize_executable.serialize(each) for each in programs]
    return zlib.compress(pickle.dumps((bool(calls), parts)), 1)


def _loaded(kept: bytes) -> tuple[Any, ...]:
    from jax.experimental import serialize_executable

    # As safe as machine code from this folder: `compile_cache` says whose files count.
    calls, parts = pickle.loads(zlib.decompress(kept))
    if calls:
        # As lowering does it: compiled code would call a routine that nobody has looked up.
        from jaxlib import lapack

        lapack.prepare_lapack_call("potrf_ffi", np.float64)
    return tuple(serialize_executable.deserialize_and_load(*part) for part in parts)
