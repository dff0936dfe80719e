"""What a batch has done so far, so that it can go on where it stood, bit for bit the same.

A batch is a fixed sequence of pieces of work: runs are drawn and prepared one after another, then
programs are called, each until its runs have ended. A journal holds what has been prepared, the
records of the calls that have ended, and of the present call the arrays as they are between two
segments. A batch that finds a journal goes through the same sequence and passes over what is in it.
No files here: `checkpoint.py` keeps it in one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlnsweep.engine.trained import Trained
from dlnsweep.machine.environment import told
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.code import code_of_numbers
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import LIBRARIES, device_description, surroundings, versions
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.compact_descent import Blocks, Constants
from dlnsweep.reduced.lane import Lane, Start
from dlnsweep.reduced.later import Later
from dlnsweep.reduced.prepare import Prepared, Thresholds
from dlnsweep.reduced.reduction import Rehearsal, Sizes
from dlnsweep.version import NUMERICS_VERSION

# Saving takes no larger share of the time than this, however large the state is.
_LARGEST_SHARE = 0.03


class Misfit(Exception):  # noqa: N818 - not an error: the batch begins anew
    """A journal does not fit the batch; the message says why."""


@dataclass(frozen=True)
class Call:
    """A call of a program between two segments.

    Attributes:
        leaves: The arrays of its inputs and of its carry.
        position: See `Segments.position`.
        records: What has been recorded, by name, (runs, steps, ...).
        weights: The weights that have been kept, by name, (runs, kept steps, ...).
        weight_steps: Their steps; see `Trained`.
        stretches: What bursts of steps need of a reduced run; see `reduced_bursts.py`.
    """

    leaves: list[np.ndarray]
    position: tuple[int, int, int]
    records: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    weight_steps: np.ndarray
    stretches: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The content of a journal.

    Attributes:
        seconds: What it has taken so far.
        lanes: The prepared runs.
        ended: The records of the calls that have ended, in their order.
        call: The present one, or None.
    """

    seconds: float
    lanes: dict[int, Lane]
    ended: list[Trained]
    call: Call | None


def is_state(value: Any) -> bool:
    """Tell whether what came out of a file is the content of a journal."""
    if not isinstance(value, State) or not isinstance(value.lanes, dict):
        return False
    call = value.call
    return (
        isinstance(value.seconds, float | int)
        and 0 <= value.seconds < np.inf
        and all(isinstance(index, int) for index in value.lanes)
        and all(isinstance(lane, Lane) for lane in value.lanes.values())
        and isinstance(value.ended, list)
        and all(isinstance(trained, Trained) for trained in value.ended)
        and (call is None or (isinstance(call, Call) and _is_call(call)))
    )


def _is_call(call: Call) -> bool:
    position: Any = call.position
    return (
        isinstance(call.leaves, list)
        and all(isinstance(leaf, np.ndarray) for leaf in call.leaves)
        and isinstance(position, tuple)
        and len(position) == 3
        and all(isinstance(each, int) and 0 <= each < 2**62 for each in position)
        and isinstance(call.records, dict)
        and all(isinstance(each, np.ndarray) for each in call.records.values())
        and isinstance(call.weights, dict)
        and all(isinstance(each, np.ndarray) for each in call.weights.values())
        and isinstance(call.weight_steps, np.ndarray)
        and isinstance(call.stretches, dict)
        and all(isinstance(each, np.ndarray) for each in call.stretches.values())
    )


# What a journal is made of; nothing else comes out of a file.
KINDS: tuple[type, ...] = (
    *(State, Call, Trained, Lane, Start, Descent, Prepared, Thresholds, Sizes),
    *(Constants, Blocks, Reduced, TestSamples, Rehearsal, Later),
)


class Journal:
    """What a batch has done, and when it is to be saved.

    Args:
        state: What an earlier process has done; None for nothing.
        save: Keeps a state; None if nothing shall be kept.
        every: Seconds between two times of saving.

    Attributes:
        saved: How often it was saved.
        save_seconds: What that has taken.
    """

    def __init__(
        self,
        state: State | None = None,
        save: Callable[[State], None] | None = None,
        every: float = np.inf,
    ) -> None:
        self._save, self._every = save, every
        self._began = self._last = time.monotonic()
        self._wait = every
        self.saved, self.save_seconds = 0, 0.0
        self._go_to(state)

    def _go_to(self, state: State | None) -> None:
        self._seconds_before = state.seconds if state else 0.0
        self._lanes = dict(state.lanes) if state else {}
        self._ended = list(state.ended) if state else []
        self._call = state.call if state else None
        self.rewind()

    def rewind(self) -> None:
        """Go to the beginning of the batch's sequence; all that is kept is passed again."""
        self._passed = 0

    def forget(self) -> None:
        """Drop everything: the batch begins anew."""
        self._go_to(None)

    @property
    def seconds(self) -> float:
        """Seconds of this batch, those of earlier processes included."""
        return self._seconds_before + time.monotonic() - self._began

    @property
    def resumed_seconds(self) -> float:
        """Those of earlier processes alone."""
        return self._seconds_before

    def has_lane(self, index: int) -> bool:
        """Tell whether a run has been prepared."""
        return index in self._lanes

    def lane(self, index: int, make: Callable[[], Lane]) -> Lane:
        """Return a prepared run, made if it is not kept."""
        if index not in self._lanes:
            self._lanes[index] = make()
        return self._lanes[index]

    def next_ended(self, count: int) -> Trained | None:
        """Return the records of the next call if it has ended already.

        Args:
            count: The runs that it must have.

        Raises:
            Misfit: If it has others.
        """
        if self._passed >= len(self._ended):
            return None
        ended = self._ended[self._passed]
        if len(ended.num_rows) != count:
            raise Misfit(f"a call had {len(ended.num_rows)} runs, and here it has {count}")
        self._passed += 1
        return ended

    def end_call(self, trained: Trained) -> None:
        """Note that the present call has ended."""
        self._ended.append(trained)
        self._passed, self._call = len(self._ended), None

    def present_call(self, started: Any) -> tuple[Any, Call | None]:
        """Return inputs and carry of the call that begins, and where it stood if it had begun.

        Args:
            started: Inputs and carry at step 0.

        Raises:
            Misfit: If what is kept has not the same arrays.
        """
        call, self._call = self._call, None
        if call is None:
            return started, None
        leaves, structure = jax.tree.flatten(started)
        same = len(leaves) == len(call.leaves) and all(
            old.shape == new.shape and old.dtype == new.dtype
            for old, new in zip(call.leaves, leaves, strict=True)
        )
        if not same:
            raise Misfit("its arrays are not those of the programs here")
        # Copies: the carry is given away, and NumPy's memory is not the program's to reuse.
        whole = [jnp.array(leaf, copy=True) for leaf in call.leaves]
        return jax.tree.unflatten(structure, whole), call

    def pause(self, call: Callable[[], Call] | None, *, ending: bool) -> None:
        """Save if it is time, or if the process is about to end.

        Args:
            call: Returns the present call; None between calls.
            ending: Whether the process is asked to end.
        """
        if self._save is None or not (ending or time.monotonic() - self._last >= self._wait):
            return
        began = time.monotonic()
        # A call that is kept and not yet come to stays so.
        present = call() if call else self._call
        self._save(State(self.seconds, self._lanes, self._ended, present))
        self._last = time.monotonic()
        self.saved += 1
        self.save_seconds += self._last - began
        self._wait = max(self._every, (self._last - began) / _LARGEST_SHARE)


def leaves_of(inputs: Any, carry: Any) -> list[np.ndarray]:
    """Return the arrays of a call as NumPy's."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves((inputs, carry))]


def origin_of(
    columns: Mapping[str, np.ndarray], shared: Mapping[str, Any], padded_width: int
) -> dict[str, Any]:
    """Return what must be the same where a journal is kept and where it is used.

    Args:
        columns: The batch's runs, as for `train_batch`.
        shared: Their other settings.
        padded_width: The width of the arrays.
    """
    found = versions()
    settings = {name: _told(column) for name, column in columns.items()}
    size = len(next(iter(columns.values())))
    text = json.dumps([size, settings, dict(shared), padded_width], sort_keys=True, default=str)
    device = device_description()
    return {
        "runs": hashlib.sha256(text.encode()).hexdigest(),
        "numerics version": NUMERICS_VERSION,
        **{name: found[name] for name in LIBRARIES},
        "platform": device["platform"],
        "device": device["kind"],
        **surroundings(),
        "code": code_of_numbers(),
    }


def _told(column: np.ndarray) -> Any:
    """Return a column's values; of most, which have one, that value alone."""
    values = column.tolist()
    first = values[0]
    same = values.count(first) == len(values)
    if column.dtype.kind == "f":
        # NaN, of a setting that is not used, is not equal to itself.
        same = bool(np.all((column == first) | np.isnan(column) & np.isnan(first)))
    return {"all": first} if same else values


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return how two origins differ, as a part of a sentence; empty if they do not."""
    for name, value in here.items():
        old = there.get(name)
        # Another number of threads is told, and no reason to begin anew: `Checkpoint`.
        if old == value or name == "threads":
            continue
        if name == "runs":
            return "it is of other runs"
        if name == "code":
            return "another version of dlnsweep's code wrote it"
        if name == "variables":
            return f"it was written where {told(old or {})} was set, and here {told(value)} is"
        if name == "cpu":
            return f"it was written on another kind of CPU, {old}, and this is {value}"
        return f"it was written with {name} {old}, and this is {name} {value}"
    return ""
