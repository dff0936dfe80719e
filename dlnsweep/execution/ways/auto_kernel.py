"""What `sweep.kernel = "auto"` takes in a results folder: settled when it is begun, and kept there.

Vector instructions are taken unasked where they can be compiled. Which kernel trains a run must
not change while a sweep is computed, nor where it is gone on with: so a folder remembers it, one
that has no word of it takes none, and where they are missing later that is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import AUTO_TAKES, BY_VECTORS, VECTORS, network_of
from dlnsweep.errors import RunError, StoreError
from dlnsweep.execution.ways.record_here import record_here
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.llvm import (
    BEGUN,
    check_installed,
    is_installed,
    is_usable,
    why_not_here,
)

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan
    from dlnsweep.spec.sweep import Sweep
    from dlnsweep.store import Store

# What a folder's record says of it.
_RECORD = "auto_takes"
# Beside a network's own kernel: the seconds that it takes of one core, a program, and what it makes
# of a step that is small (simd_dense.csv). Most of them are saved, and to compile vector
# instructions takes a second or two in each worker.
_LEAST_SECONDS = 5.0
_DENSE_FLOPS_A_SECOND = 4e9
# What stands in the lanes of a vector, by the words of `VECTORS`.
_LANES = {
    "simd": "one run a lane (simd)",
    "simd_samples": "samples of one run in the lanes (simd_samples)",
    "simd_all": "one run a lane (simd) or samples of one run in the lanes (simd_samples)",
}
# Runs of the widest vector.
_VECTOR = {"float64": 8, "float32": 16}


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun here now has of it."""
    if folder := plan.sweep.options.go_on_from:
        # `check` needs no pyarrow of most sweeps.
        from dlnsweep.store import Store

        # Runs that go on have the bits of whole ones. If there is none, others say so.
        with contextlib.suppress(StoreError):
            return of_store(Store.open(folder))
        return {}
    word = _word(plan)
    return {_RECORD: word} if word and is_usable() else {}


def of_here(plan: Plan) -> dict[str, str]:
    """Return what the record of the folder has of it in which `run` computes a plan by default."""
    record = record_here(plan)
    return of_new(plan) if record is None else _of_record(record)


def told(plan: Plan) -> list[str]:
    """Return what `check` tells of it: for which runs vector instructions are tried, and which."""
    kernel = plan.sweep.options.kernel
    # Others tell of machines that have none.
    if not is_usable():
        return []
    if kernel in BY_VECTORS:
        word, programs, when = kernel, [*range(plan.num_programs)], "they can be"
    else:
        word, when = of_here(plan).get(_RECORD, ""), "that pays"
        programs = [program for program, _ in _by_vectors(plan)] if word else []
    count = int(np.isin(plan.programs, programs).sum())
    if not count:
        return []
    runs = "1 run" if count == 1 else f"{count} runs"
    return [
        f"steps of {runs} are made vector instructions where {when}, {_LANES[word]}; `dlnsweep "
        "plan` tries it, and tells by which way they train"
    ]


def of_store(store: Store) -> dict[str, str]:
    """Return what the record of a folder that was begun before has of it."""
    return _of_record(store.sweep["sweep"])


def settings_in(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record says of it, as settings of its runs."""
    taken = _of_record(record)
    return {AUTO_TAKES: taken[_RECORD]} if taken else {}


def least_runs(plan: Plan, taken: Mapping[str, str]) -> np.ndarray:
    """Return how many runs a batch of each program should have.

    Those of a vector, for fewer take as long; one where it does not matter.

    Args:
        plan: The plan.
        taken: What the folder's record has of it.
    """
    found, widths = np.ones(plan.num_programs, np.int64), plan.program_widths
    if plan.sweep.options.kernel == "simd":
        found[:] = _VECTOR[plan.sweep.options.precision]
    elif taken.get(_RECORD) in ("simd", "simd_all"):
        # What the reduced kernel may train is batched as for that.
        full = [p for p, row in _by_vectors(plan) if network_of(row).why_full(row, widths[p])]
        found[full] = _VECTOR[plan.sweep.options.precision]
    return found


def check_here(store: Store) -> None:
    """Refuse to go on with a folder whose kernel cannot be compiled here.

    Raises:
        RunError: If llvmlite is missing, or the processor lacks what its code needs.
    """
    if not of_store(store):
        return
    check_installed(BEGUN)
    if why := why_not_here():
        raise RunError(
            f'{store.root}: was begun where sweep.kernel = "auto" takes vector instructions, and '
            f"{why}: another kernel would train what is left, and round otherwise. Go on where "
            "there is one, or take the same steps in another folder with --set "
            "sweep.kernel=generic."
        )


def told_here(sweep: Sweep) -> str:
    """Return what is told of a sweep that asks for vector instructions where there are none."""
    if sweep.options.kernel not in BY_VECTORS or not is_installed() or not (why := why_not_here()):
        return ""
    return (
        f'sweep.kernel is "{sweep.options.kernel}", and {why}: the generic way trains what is '
        "computed here, which "
        "rounds otherwise than vector instructions; outcomes say which it was"
    )


def _of_record(record: Mapping[str, Any]) -> dict[str, str]:
    word = record.get(_RECORD)
    return {_RECORD: word} if word in VECTORS else {}


def _word(plan: Plan) -> str:
    """Return which of `VECTORS` "auto" takes for a plan; nothing if none."""
    if not _has_use(plan):
        return ""
    fills = _fills_vectors(plan)
    # Samples in the lanes are for the generic way's steps alone.
    own = any(network_of(row).has_own_kernel for _, row in _by_vectors(plan))
    if own:
        return "simd" if fills else ""
    return "simd_all" if fills else "simd_samples"


def _by_vectors(plan: Plan) -> list[tuple[int, RunSettings]]:
    """Return which programs would be of vector instructions, and a run of each."""
    programs, firsts = np.unique(plan.programs, return_index=True)
    rows = [plan.row(first) | {AUTO_TAKES: "simd"} for first in firsts.tolist()]
    return [
        (program, row)
        for program, row in zip(programs.tolist(), rows, strict=True)
        if network_of(row).takes_vectors(row, plan.program_widths[program])
    ]


def _has_use(plan: Plan) -> bool:
    """Tell whether runs of any program would be trained by vector instructions.

    Where a kernel of the network's own would train them, too, that must save more than it costs
    to compile them.
    """
    found = _by_vectors(plan)
    if not found or not network_of(found[0][1]).has_own_kernel:
        return bool(found)
    seconds = 0.0
    for program, row in found:
        cost = network_of(row).step_cost(row, plan.program_widths[program])
        steps = plan.settings["training.num_steps"][plan.programs == program].sum(dtype=float)
        seconds += float(steps) * cost.flops / _DENSE_FLOPS_A_SECOND
    return seconds >= _LEAST_SECONDS * len(found)


def _fills_vectors(plan: Plan) -> bool:
    """Tell whether runs that can be trained together are as many as a vector has, on average."""
    together = np.stack([plan.programs, plan.settings["training.num_steps"]])
    groups = np.unique(together, axis=1).shape[1]
    return plan.num_runs >= groups * _VECTOR[plan.sweep.options.precision]
