"""Which runs of a sweep go on from runs of another folder that took fewer steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.contracts.network import REDUCED_INPUTS, network_of
from dlnsweep.contracts.on_span import as_given
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.numerics.runtime import LIBRARIES, versions
from dlnsweep.plan.plan import Plan, ids_with
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.store import Store
from dlnsweep.store.address import location
from dlnsweep.store.layout import batch_name
from dlnsweep.store.records import integers, settings_table
from dlnsweep.store.stored_plan import SAME_VALUES, differing_settings
from dlnsweep.version import NUMERICS_VERSION

KEY = "sweep.go_on_from"
# The column of `runs.parquet` with the run that one goes on from, and what `sweep.json` has of it.
COLUMN = "goes_on_from"
ROOT = "go_on_from"
# In these, and in the number of steps, a run may differ from the one that it goes on from.
SCHEDULE = ("record.spacing", "record.count", "record.steps", "record.weights")
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Origins:
    """Where the runs of a plan go on from.

    Attributes:
        root: The other folder.
        run_ids: For each run of the plan the id of the one there; -1 where there is none.
        steps: The step at which that one stands; 0 where there is none.
    """

    root: Any
    run_ids: np.ndarray
    steps: np.ndarray

    @property
    def sentence(self) -> str:
        """What is told of it."""
        known = self.run_ids >= 0
        steps = sorted(set(self.steps[known].tolist()))
        shown = ", ".join(map(str, steps[:_MOST_SHOWN])) + (", ..." * (len(steps) > _MOST_SHOWN))
        rest = int((~known).sum())
        others = f"; {rest} begin at step 0, as there is none of their settings" if rest else ""
        what = "step" if len(steps) == 1 else "steps"
        return f"{int(known.sum())} runs go on from {self.root}, {what} {shown}{others}"


def place_of(folder: str) -> str:
    """Return a folder as a results folder remembers it: wherever the process is, the same one."""
    place = location(folder)
    return str(place.absolute()) if isinstance(place, Path) else place


def origins_of(plan: Plan) -> Origins | None:
    """Return where the runs of a plan go on from; None where nothing is asked for.

    A run goes on from the longest one there that has its settings, but for no more steps and for
    when it is recorded.

    Raises:
        SpecError: If none can go on, or some could but for what is recorded when.
        StoreError: If the folder cannot be read.
    """
    folder = plan.sweep.options.go_on_from
    if not folder:
        return None
    store = _open(folder)
    _check_kept(store)
    keys = ["run_id", "batch", "training.num_steps", *SCHEDULE[:2]]
    table = store.runs_table(keys)
    shared = store.sweep["sweep"].get("shared", {})
    done = np.isin(integers(table["batch"]), list(store.done()))
    ids, totals = (integers(table[name]) for name in ("run_id", "training.num_steps"))
    there = RunSettings(
        {key: table[key][0].as_py() for key in SCHEDULE[:2]}
        | {key: shared.get(key, []) for key in SCHEDULE[2:]}
    )
    record = there.section("record", RecordSettings)
    found, steps = np.full(plan.num_runs, -1), np.zeros(plan.num_runs, np.int64)
    longest = plan.settings["training.num_steps"]
    for total in np.unique(totals[done]).tolist():
        own = ids_with(plan.sweep, {**there, "training.num_steps": total})
        same = np.isin(own, ids[done & (totals == total)]) & (total <= longest)
        found, steps = np.where(same, own, found), np.where(same, total, steps)
    origins = Origins(store.root, found, steps)
    if not (found >= 0).any():
        raise SpecError(f"{KEY}: {_why_none(plan, store)}")
    for program in np.unique(plan.programs[found >= 0]):
        index = int(np.flatnonzero((plan.programs == program) & (found >= 0))[0])
        _check_way(plan.row(index), int(plan.program_widths[program]))
    pairs = np.unique(np.stack([steps, longest])[:, found >= 0], axis=1)
    for begin, total in pairs.T.tolist():
        _check_steps(store.root, record, begin, _record_of(plan), total)
    return origins


def _open(folder: str) -> Store:
    try:
        return Store.open(folder)
    except StoreError as error:
        raise StoreError(
            f"{KEY}: {error} Runs that a folder of this sweep has planned do without it; for new "
            f'ones bring it back, or set {KEY} = "" to begin at step 0.'
        ) from error


def _record_of(plan: Plan) -> RecordSettings:
    return plan.row(0).section("record", RecordSettings)


def _check_kept(store: Store) -> None:
    """Refuse a folder whose runs nobody can go on from."""
    from dlnsweep.numerics.code import code_of_numbers

    if store.sweep["sweep"].get("shared", {}).get("record.weights") != "final":
        raise SpecError(
            f'{KEY}: {store.root} keeps no final states, as its record.weights is not "final"; '
            'leave it out, and set record.weights = "final" so that these runs can be gone on '
            "with."
        )
    done = sorted(store.done())
    if not done:
        raise SpecError(f"{KEY}: {store.root} has no run that is done; finish it first.")
    receipt = store.files.read_json(batch_name("receipts", done[0]))
    here = {name: versions()[name] for name in LIBRARIES} | {
        "numerics version": NUMERICS_VERSION,
        "code": code_of_numbers(),
    }
    old = receipt.get("versions", {}) | {
        "numerics version": store.sweep.get("numerics_version"),
        "code": receipt.get("code"),
    }
    for name, value in here.items():
        if old.get(name) != value:
            found = old.get(name, "of no known version")
            what = "another version of dlnsweep's code" if name == "code" else f"{name} {found}"
            raise SpecError(
                f"{KEY}: {store.root} was computed by {what}: what went on from there would not "
                "have the bits of whole runs. Use that version, or leave it out: the runs then "
                "begin at step 0."
            )


def _why_none(plan: Plan, store: Store) -> str:
    here = settings_table(plan.settings)
    phrases = differing_settings(store.runs_table(), here)
    free = ("training.num_steps", *SCHEDULE)
    other = [phrase for key, phrase in phrases.items() if key not in free]
    other += [] if phrases else [SAME_VALUES]
    shared, own = store.sweep["sweep"].get("shared", {}), as_given(plan.shared)
    other += [
        f"{key} is {shared.get(key)} there and {own[key]} here"
        for key in own
        if key not in SCHEDULE and own[key] != shared.get(key)
    ]
    listed = "; ".join(other[:_MOST_SHOWN])
    why = f": {listed}" if listed else ", or none with no more steps"
    return (
        f"{store.root} has no run that is done with the settings of a run here, but for "
        f"training.num_steps and when it is recorded{why}. Leave it out to begin at step 0."
    )


def _check_way(row: RunSettings, width: int) -> None:
    network, kernel = network_of(row), row["sweep.kernel"]
    reason = ""
    if kernel == "jumps":
        reason = "time jumps are as fine as all steps of a run ask for"
    elif not network.why_full(row, width):
        reason = (
            "the reduced kernel, which is to train these runs, keeps what all their steps ask for: "
            'set record.weights = "final", or sweep.kernel = "dense"'
        )
    elif kernel == "auto" and network.kernel_of(row) == REDUCED_INPUTS:
        reason = (
            "they are to be trained on the span of their inputs, and those there kept weights of "
            'all inputs: set record.weights = "final" here, too'
        )
    elif network.lanes_share(row):
        reason = "runs that share an operator have the bits of those beside them"
    if reason:
        raise SpecError(f"{KEY}: these runs cannot go on ({reason}). Leave it out.")


def _check_steps(
    root: Any, there: RecordSettings, begin: int, here: RecordSettings, total: int
) -> None:
    """Refuse runs that are recorded at other steps up to where they go on."""
    old, new = record_steps(there, begin), record_steps(here, total)
    if isinstance(here.weights, list) and (early := [s for s in here.weights if s <= begin]):
        raise SpecError(
            f"{KEY}: record.weights names {early[0]}, which does not lie beyond step {begin}, "
            'where runs go on; keep later steps, or "final".'
        )
    if np.array_equal(new[: len(old)], old):
        return
    behind = sorted(set(new[new <= begin].tolist()) ^ set(old.tolist()))
    where = "there" if behind[0] in old else "here"
    raise SpecError(
        f"{KEY}: runs of {begin} steps in {root} and of {total} steps here are not recorded at the "
        f"same steps up to {begin} (step {behind[0]} only {where}), and what lies "
        f"behind cannot be recorded any more: {_fitting(there, begin, old, total)}, or leave "
        f"{KEY} out to begin at step 0."
    )


def _fitting(there: RecordSettings, begin: int, old: np.ndarray, total: int) -> str:
    """Return which [record] has the steps that were recorded as its first ones."""
    gaps = there.count - 1
    ratio = {
        "log": np.log(total) / np.log(begin) if begin > 1 else 0.0,
        "linear": total / begin,
    }.get(there.spacing, 0.0)
    count = round(1 + gaps * ratio)
    if count >= 2:
        wanted = there.model_copy(update={"count": count})
        if np.array_equal(record_steps(wanted, total)[: len(old)], old):
            return f'record.spacing = "{there.spacing}" with record.count = {count} has them all'
    return (
        'give record.spacing = "explicit" with record.steps of all that were recorded there '
        f"(up to {begin}) and later ones"
    )
