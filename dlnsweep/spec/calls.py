"""What `dlnsweep.run` is called with, checked: wrong types are sentences, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import show
from dlnsweep.spec.documents import plain
from dlnsweep.spec.file import apply_overrides, check_overrides
from dlnsweep.spec.sweep import Sweep


def read_sweep(sweep: Any, overrides: Sequence[str]) -> Sweep:
    """Return a sweep that is given as a file's path, as a dictionary, or as itself.

    Raises:
        SpecError: If it is wrong.
    """
    if isinstance(sweep, Sweep):
        if overrides:
            raise SpecError(
                "overrides are given beside a Sweep, which has been read already; give them to "
                "Sweep.from_file, or give run() the file or the dictionary."
            )
        return sweep
    if isinstance(sweep, Mapping):
        return Sweep.from_dict(apply_overrides(plain(sweep), overrides))
    return Sweep.from_file(sweep, overrides)


def check_call(
    overrides: Any,
    workers: Any,
    shard: Any,
    dask: Any,
    on_event: Any,
    should_stop: Any,
    checkpoint_seconds: Any,
    wait_seconds: Any = None,
) -> None:
    """Check the other arguments of `dlnsweep.run`.

    Raises:
        SpecError: With every mistake.
    """
    problems = check_overrides(overrides)
    number = isinstance(workers, Integral) and not isinstance(workers, bool)
    if workers is not None and not (number and int(workers) >= 0):
        problems.append(f"workers is {show(workers)}; it must be an integer from 0, or None.")
    if shard is not None and not isinstance(shard, str):
        problems.append(f"shard is {show(shard)}; it must be a string such as '1/8', or None.")
    if dask is not None and not isinstance(dask, str):
        problems.append(
            f"dask is {show(dask)}; it must be a scheduler's address, 'local', or None."
        )
    for name, value in (("on_event", on_event), ("should_stop", should_stop)):
        if not callable(value):
            problems.append(f"{name} is {show(value)}; it must be a function.")
    seconds = isinstance(checkpoint_seconds, Real) and not isinstance(checkpoint_seconds, bool)
    if checkpoint_seconds is not None and not (seconds and float(checkpoint_seconds) > 0):
        problems.append(
            f"checkpoint_seconds is {show(checkpoint_seconds)}; it must be a positive number "
            "(math.inf for none), or None."
        )
    waits = isinstance(wait_seconds, Real) and not isinstance(wait_seconds, bool)
    if wait_seconds is not None and not (waits and float(wait_seconds) >= 0):
        problems.append(
            f"wait_seconds is {show(wait_seconds)}; it must be a number from 0 (math.inf to wait "
            "however long it takes), or None."
        )
    elif wait_seconds is not None and shard is None:
        problems.append("wait_seconds is how long a shard waits for others; give a shard, too.")
    if problems:
        raise SpecError(*problems)
